package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/decision"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
)

// The nodes of a blue-green rollout are a group: the secondaries (green) roll first,
// then the primaries, and all of them go back when one fails. Each looks after itself:
// it knows of the others by their commit statuses.

// afterGreens holds a primary back for the soak time, and until a person has agreed
// where config.yml asks for that: after the soak time, since that is what it is for.
func (r *reconcile) afterGreens(stand []standing) (ruling, error) {
	passed := ruling{}
	if len(stand) > 0 {
		passed.passed = "succeeded before: " + namesOf(stand)
	}
	rules, greens := r.node.Config.Deployment.BlueGreen, r.node.Config.Greens()
	if len(greens) == 0 || slices.Contains(greens, r.Settings.Node) {
		return passed, nil
	}
	var last time.Time
	for _, one := range stand {
		if slices.Contains(greens, one.node) && one.finished.After(last) {
			last = one.finished
		}
	}
	names := strings.Join(greens, ", ")
	if end := last.Add(rules.Soak); time.Now().Before(end) {
		return ruling{
			waiting: fmt.Sprintf("until %s, %s after %s", end.UTC().Format("15:04:05 MST"), brief(rules.Soak), names),
			about:   "soak", until: end, unattended: true,
		}, nil
	}
	if !rules.Approval {
		return passed, nil
	}
	given, err := r.agreement()
	if err != nil {
		return ruling{}, err
	}
	if given == nil {
		return ruling{
			waiting: fmt.Sprintf("%s succeeded; this node follows by `agent approve %s --reason …`", names, short(r.sync.Commit)),
			about:   aboutAgreement,
		}, nil
	}
	r.sync.Approval, passed.passed = given, ApprovalText(given)
	return passed, nil
}

// aboutAgreement is the part of the order that `agent approve` opens.
const aboutAgreement = "agreement"

// agreementAsked is what is waited for where that was a person's word when the gates
// were asked last, so that a word is not lost to a GitLab that does not answer.
func (r *reconcile) agreementAsked() string {
	if slices.ContainsFunc(r.before, func(g record.Gate) bool { return g.About == aboutAgreement }) {
		return aboutAgreement
	}
	return ""
}

// agreement is a person's word on this node for this plan, given after it was asked
// for: what was approved before the greens had been seen does not count.
func (r *reconcile) agreement() (*record.Approval, error) {
	i := slices.IndexFunc(r.before, func(g record.Gate) bool { return g.About == aboutAgreement })
	if i < 0 {
		return nil, nil
	}
	asked, err := r.asked()
	if err != nil {
		return nil, err
	}
	given := asked.Given
	if given == nil || given.PlanDigest != r.attempt.PlanDigest || given.At.Before(r.before[i].Since) {
		return nil, nil
	}
	return given, nil
}

// joinGroup notes who stands and falls with this node, and what they go back to: the
// last good state, or that of a group before which never became complete. Failures
// that are there already are no reason to go back.
func (r *reconcile) joinGroup(others []string, stand []standing) error {
	rules := r.node.Config.Deployment.Rollback
	group := &record.Group{Nodes: others, Back: rules.Enabled && rules.Automatic, Past: map[string]time.Time{}}
	for _, one := range stand {
		if one.failed() {
			group.Past[one.node] = one.finished
		}
	}
	if had := r.sync.Group; had != nil {
		group.Base = had.Base
	}
	if group.Base == 0 {
		newest, err := r.records.Newest()
		if err != nil {
			return fmt.Errorf("recall good states: %w", err)
		}
		if newest != nil {
			group.Base = newest.SyncID
		}
	}
	r.sync.Group = group
	return nil
}

// regroup has an inherited group follow the config.yml of this commit: a node that is
// in none any more goes back with nobody.
func (r *reconcile) regroup() {
	others := r.node.Config.Others(r.Settings.Node)
	if r.sync.Group == nil || len(others) == 0 {
		r.sync.Group = nil
		return
	}
	group := *r.sync.Group
	group.Nodes = others
	r.sync.Group = &group
}

// ground is what a node that has failed goes back to: the newest good state, or, as
// the others do, that from before a group that never became complete.
func (r *reconcile) ground(newest *record.GoodState) (*record.GoodState, error) {
	if r.sync.Group == nil || r.sync.Group.Complete {
		return newest, nil
	}
	base, err := r.stateOf(r.sync.Group.Base)
	if base == nil {
		base = newest
	}
	return base, err
}

// askGroup asks GitLab how the group of the last sync does: it notes when all nodes have
// succeeded, and sees the node that failed since this one began. A GitLab that does not
// answer is asked again by the next look.
func (a *Agent) askGroup(ctx context.Context, seen *sighting) error {
	last := a.snapshot().sync
	seen.observed.Group = &decision.Group{}
	stand, err := a.standings(ctx, last.Commit, last.Group.Nodes)
	if err != nil {
		a.update(func(v *view) { v.group = "cannot ask GitLab how the others do: " + err.Error() })
		return nil
	}
	group, lacks, failed := *last.Group, "", ""
	for _, one := range stand {
		past, known := group.Past[one.node]
		if one.state == gitlab.Failed && failed == "" && (!known || !past.Equal(one.finished)) {
			failed = one.node
		}
		if one.state != gitlab.Success && lacks == "" {
			lacks = "not complete: " + one.node + " says " + one.says()
		}
	}
	a.update(func(v *view) { v.group = lacks })
	if lacks != "" {
		if failed != group.Failed { // else that is noted already
			seen.observed.Group.Failed = failed
		}
		return nil
	}
	group.Complete, group.Failed = true, ""
	return a.saveGroup(last, &group)
}

// leaveGroup goes back because a node has failed, or says why it does not.
func (a *Agent) leaveGroup(ctx context.Context, failed string, progress func(string)) outcome {
	last := a.snapshot().sync
	group := *last.Group
	group.Failed = failed
	text, hint := failed+" failed with this commit, which goes on to run here", "`agent rollback` takes this node back, too"
	switch {
	case !group.Back:
	case group.Base == 0:
		text += ": no good state is recorded from before it"
	default:
		result := a.goBack(ctx, way{to: group.Base, auto: true, actor: audit.Agent(), reason: failed + " failed with this commit", group: &group}, progress)
		if result.err == nil || result.sync != nil || ctx.Err() != nil || passing(result.err) {
			return result
		}
		text, hint = text+": "+result.err.Error(), fault.Hint(result.err)
	}
	sync := last.Copy()
	sync.Warnings = append(slices.Clone(last.Warnings), text+"; "+hint)
	a.Log.Warn("a node of the group failed", "revision", short(last.Commit), "node", failed, "reason", text)
	return outcome{sync: sync, err: errors.Join(a.saveGroup(sync, &group), a.announceGroup(sync, text, hint))}
}

// saveGroup notes how the group of a sync that is over does.
func (a *Agent) saveGroup(last *record.Sync, group *record.Group) error {
	sync := last.Copy()
	sync.Group = group
	if err := a.records.SaveSync(sync); err != nil {
		return fmt.Errorf("save sync: %w", err)
	}
	a.update(func(v *view) { v.sync = sync })
	return nil
}

// announceGroup tells people that this node runs what another one failed with.
func (a *Agent) announceGroup(sync *record.Sync, text, hint string) error {
	if a.Notices.Outbox == nil {
		return nil
	}
	n := a.notice(sync)
	n.Event, n.Title, n.Next = notify.Failure, "the nodes do not run the same release", hint
	n.Details = []notify.Detail{{Text: text}}
	if err := a.Notices.Outbox.Tell(n); err != nil {
		return fmt.Errorf("queue notice: %w", err)
	}
	return nil
}
