package report

import (
	"fmt"
	"strings"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/tokens"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

// notice gives what all notices of a sync have. link is the commit's page in GitLab.
func notice(node Node, link string, sync *record.Sync) notify.Notice {
	return notify.Notice{
		Environment: node.Environment, Node: node.Name, Stack: sync.Stack, Release: sync.Release,
		Commit: sync.Commit, Ref: sync.Ref, Author: audit.AuthorName(sync.Author), Subject: sync.Subject, Link: link,
	}
}

// Notice gives the notice of a sync's state. A commit that changes nothing here has none,
// nor has a sync that waits for something that comes without a user.
func Notice(node Node, link string, sync *record.Sync) (n notify.Notice, has bool) {
	if sync.Unchanged || record.Unattended(sync) {
		return n, false
	}
	n = notice(node, link, sync)
	n.Next, n.Again = NextStep(sync), sync.Transient
	switch sync.State {
	case record.Failed:
		failureNotice(&n, sync)
	case record.RolledBack:
		rollbackNotice(&n, sync)
	case record.Waiting:
		n.Event, n.Title, n.Again = notify.Waiting, "rollout waits: "+sync.Waiting, true
		n.Details = append([]notify.Detail{{Text: sync.Summary}}, grantDetails(sync)...)
	case record.Succeeded:
		n.Event, n.Title, n.Quiet = notify.Success, "rolled out", !sync.Wrote
		n.Details = []notify.Detail{{Text: sync.Summary}}
	case record.New, record.Pending, record.Running, record.Superseded:
		return n, false
	}
	return n, true
}

// DelayNotice gives the notice of a rollback that waits for the engine, the network or a
// registry: until then the failed revision stays deployed.
func DelayNotice(node Node, link string, sync *record.Sync, why error) notify.Notice {
	n := notice(node, link, sync)
	n.Event, n.Title, n.Again = notify.Failure, "the rollback has to wait", true
	if sync.Error != "" {
		n.Title = "rollout failed at " + string(sync.FailedAt()) + ", and the rollback has to wait"
	}
	n.Details = append(faultDetails(sync), notify.Detail{Text: "rollback to " + Target(sync.Rollback) + ": " + gates.OneLine(why), Hint: sync.Key.In(fault.Hint(why))})
	n.Next = nextAfterFailure(&record.Sync{Transient: true})
	return n
}

// GroupNotice gives the notice that this node runs a commit that failed on another node.
func GroupNotice(node Node, link string, sync *record.Sync, text, hint string) notify.Notice {
	n := notice(node, link, sync)
	n.Event, n.Title, n.Next = notify.Failure, "the nodes do not run the same release", sync.Key.In(hint)
	n.Details = []notify.Detail{{Text: text}}
	return n
}

// TagsNotice gives the notice that tags are not followed, or were deleted or moved.
func TagsNotice(node Node, link string, last *record.Sync, told []string) notify.Notice {
	n := notice(node, link, last)
	n.Event, n.Title, n.Next = notify.Waiting, "tags are not followed", "`agent status` shows the tags and what runs"
	for _, text := range told {
		n.Details = append(n.Details, notify.Detail{Text: text})
	}
	return n
}

// HealthNotice gives the notice that services of a good rollout, or of a rollback, became degraded
// or unhealthy, or that all are healthy again.
func HealthNotice(node Node, link string, sync *record.Sync, now health.Verdict) notify.Notice {
	n, after := notice(node, link, sync), "rollout"
	if back := sync.Rollback; sync.State == record.RolledBack {
		after, n.Release = "rollback to "+Target(back), back.Release
	}
	n.Health, n.Event, n.Title = string(now.State), notify.Recovery, "all services are healthy again"
	if now.State == health.Healthy {
		return n
	}
	n.Event, n.Title = notify.Failure, "services are "+string(now.State)+" after the "+after
	for _, service := range now.Services {
		n.Details = append(n.Details, notify.Detail{Text: service.String()})
	}
	n.Next = sync.Key.In("`agent status` shows the services; `agent rollback` returns to the state before")
	return n
}

// RefusedNotice gives the notice that a release that did not stay healthy is not rolled back.
func RefusedNotice(node Node, link string, sync *record.Sync) notify.Notice {
	n := notice(node, link, sync)
	n.Event, n.Title = notify.Failure, "the release did not stay healthy, and is not rolled back"
	n.Details = []notify.Detail{{Text: sync.Rollback.Reason}, {Text: "not rolled back: " + sync.Rollback.Refused, Hint: sync.Key.In(sync.Rollback.Hint)}}
	n.Next = sync.Key.In(decideRefused(sync))
	return n
}

// TokenNotice gives the notice that a GitLab token expires soon, cannot be used, or has no
// problems any more.
func TokenNotice(node Node, token tokens.State) notify.Notice {
	n := notify.Notice{
		Environment: node.Environment, Node: node.Name, Token: token.ID(),
		Event: notify.Failure, Title: "the GitLab token of " + token.Setting + " needs to be replaced",
	}
	switch {
	case len(token.Problems) == 0:
		n.Event, n.Title = notify.Recovery, "the GitLab token of "+token.Setting+" has no problems any more"
		return n
	case token.Soon():
		n.Event, n.Title = notify.Waiting, "the GitLab token of "+token.Setting+" expires soon"
	}
	for _, one := range token.Problems {
		n.Details = append(n.Details, notify.Detail{Text: one.Text, Hint: one.Hint})
	}
	n.Next = "`agent status` on the node shows the tokens"
	return n
}

// DriftNotice gives the notice that live services differ from the applied specs, which are those of
// a good state, whatever commit came after it. link is the page of its commit.
func DriftNotice(node Node, link string, sync *record.Sync, deployed *record.GoodState, drift []deploy.Step) notify.Notice {
	n := notice(node, link, sync)
	if n.Release = deployed.Release; n.Commit != deployed.Commit {
		n.Commit, n.Author, n.Subject = deployed.Commit, "", ""
	}
	n.Event, n.Title = notify.Drift, "the live services differ from what was applied"
	for _, step := range drift {
		n.Details = append(n.Details, notify.Detail{Text: driftText(step)})
	}
	n.Next = sync.Key.In("`agent diff` on the node shows it, `agent sync` restores the applied state")
	if deployed.Drift == string(manifests.DriftCorrect) {
		n.Next = "the agent restores the applied state"
	}
	return n
}

// DriftText names the services that differ, and in what: "service s_web: replicas".
func DriftText(drift []deploy.Step) string {
	texts := make([]string, 0, len(drift))
	for _, step := range drift {
		texts = append(texts, driftText(step))
	}
	return strings.Join(texts, "; ")
}

func driftText(step deploy.Step) string {
	text := fmt.Sprintf("%s %s: ", step.Kind, step.Name)
	if len(step.Changes) == 0 {
		return text + "to " + string(step.Action)
	}
	return text + ChangeLabels(step)
}

// failureNotice adds what failed, and why it was not rolled back if a rollback was tried.
func failureNotice(n *notify.Notice, sync *record.Sync) {
	n.Event, n.Title = notify.Failure, "rollout failed at "+string(sync.Stage)
	switch {
	case sync.IsRollback() && sync.Rollback.Auto:
		n.Title = "the automatic rollback failed"
	case sync.IsRollback():
		n.Title = "rollback by a user failed"
	}
	n.Details = faultDetails(sync)
	back := sync.Rollback
	switch {
	case back == nil || sync.IsRollback():
	case back.Refused != "":
		n.Title += ", and is not rolled back"
		n.Details = append(n.Details, notify.Detail{Text: "not rolled back: " + back.Refused, Hint: sync.Key.In(back.Hint)})
	case back.Error != "":
		n.Title += ", and the rollback is not verified"
		n.Details = append(n.Details, notify.Detail{Text: "rolled back to " + Target(back) + ", but it is unhealthy: " + back.Error, Hint: sync.Key.In(back.Hint)})
	}
	if !sync.Transient {
		n.Next = "the revision is held; " + n.Next
	}
}

// rollbackNotice adds that the node runs an earlier state now. An automatic rollback is
// also a failed rollout.
func rollbackNotice(n *notify.Notice, sync *record.Sync) {
	back := sync.Rollback
	n.Event, n.Details = notify.Rollback, faultDetails(sync)
	n.Details = append(n.Details, notify.Detail{Text: sync.Summary})
	switch {
	case sync.IsRollback() && !back.Auto:
		n.Title = "rolled back by a user"
	case sync.IsRollback():
		n.Title, n.Failed = "rolled back automatically", true
	case !sync.IsRollback() && sync.Error == "": // a drift from the state of a rollback was corrected
		n.Event, n.Title = notify.Success, "the good state is restored"
	default:
		n.Title, n.Failed = "rollout failed at "+string(sync.Stage)+" and was rolled back", true
	}
	n.Next += fmt.Sprintf("; the report: `agent show %d -o report` on the node", sync.ID)
}

// grantDetails lists what the plan of a sync grants to its services.
func grantDetails(sync *record.Sync) []notify.Detail {
	read, err := recordOf(sync)
	if err != nil || read.Plan == nil {
		return nil
	}
	var details []notify.Detail
	for _, grant := range read.Plan.Grants {
		what := "new grant: "
		if grant.Kept {
			what = "grant as before: "
		}
		details = append(details, notify.Detail{Text: what + GrantText(grant)})
	}
	return details
}

func faultDetails(sync *record.Sync) []notify.Detail {
	var details []notify.Detail
	for _, one := range sync.All() {
		details = append(details, notify.Detail{Text: one.Error, Hint: one.Hint})
	}
	return details
}
