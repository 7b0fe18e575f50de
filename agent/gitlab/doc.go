// Package gitlab shows the syncs of a commit in GitLab: from reports, one for each step of
// a commit, it makes commit statuses. It guarantees that a report that Enqueue has accepted
// is delivered in order and makes exactly one entry, even if answers are lost or the agent
// is killed, and that failures of GitLab do not delay a rollout.
//
// Client makes one attempt, and classifies its failure. Only Outbox retries.
package gitlab
