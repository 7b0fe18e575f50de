// Package gitlab tells GitLab, as commit statuses, what the agent does with a
// commit. In go reports, one per step of a commit; out come statuses on that
// commit. Its guarantee: a report that Enqueue has taken is delivered in order
// and leaves one entry in GitLab, whatever is lost, slow or killed on the way,
// and no trouble with GitLab ever holds up a rollout.
//
// Client makes one attempt and says what kind of refusal it met. Outbox is the
// only one that tries again.
package gitlab
