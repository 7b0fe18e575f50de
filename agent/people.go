package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
)

// longestPause is a year: a longer pause is a typing error.
const longestPause = 366 * 24 * time.Hour

// Pause keeps rollouts from beginning, until the pause ends or a user resumes. A running
// rollout will finish. Another pause replaces the one before.
func (a *Agent) Pause(actor audit.Actor, asked request.Pause) (*record.Pause, error) {
	why, err := request.Reason(asked.Reason, true)
	if err != nil {
		return nil, err
	}
	pause := &record.Pause{Actor: actor, Reason: why, Since: time.Now().UTC()}
	detail := "until a user resumes: " + why
	if asked.For != "" {
		length, err := time.ParseDuration(asked.For)
		if err != nil || length <= 0 || length > longestPause {
			return nil, request.Refuse(request.Invalid, "write a duration such as 2h or 30m", "%q is not a valid pause duration", asked.For)
		}
		pause.Until = pause.Since.Add(length)
		detail = fmt.Sprintf("until %s: %s", pause.Until.Format(time.RFC3339), why)
	}
	a.people.Lock()
	defer a.people.Unlock()
	if err := a.note(a.userEntry(actor, audit.Pause, detail)); err != nil {
		return nil, err
	}
	if err := a.records.SavePause(pause); err != nil {
		return nil, fmt.Errorf("save pause: %w", err)
	}
	a.update(func(v *view) { v.pause = pause })
	a.Log.Info("paused", "actor", actor.String(), "until", pause.Until, "reason", why)
	a.nudge()
	return pause, nil
}

// Resume ends a pause and the pinning after a rollback. What is due is done at once.
func (a *Agent) Resume(ctx context.Context, actor audit.Actor, asked request.Resume) (request.Resumed, error) {
	why, err := request.Reason(asked.Reason, false)
	if err != nil {
		return request.Resumed{}, err
	}
	ended, err := a.endPause(actor, why)
	if err != nil {
		return ended, err
	}
	if ended.Pin != "" { // outside the lock: other users need not wait for the loop
		if done := a.inLoop(ctx, false, a.unpin); done.err != nil {
			return ended, done.err
		}
	}
	a.Log.Info("resumed", "actor", actor.String(), "reason", why)
	a.nudge()
	return ended, nil
}

// endPause ends the current pause, and gives it with the commit that is pinned.
func (a *Agent) endPause(actor audit.Actor, why string) (request.Resumed, error) {
	a.people.Lock()
	defer a.people.Unlock()
	ended := request.Resumed{Pause: a.paused()}
	if last := a.snapshot().sync; last.Pinned() {
		ended.Pin = last.Rollback.Commit
	}
	if ended.Pause == nil && ended.Pin == "" {
		return ended, request.Refuse(request.Conflict, "`agent status` shows what the agent does; a revision that failed is tried again by `agent retry`", "nothing is paused, and no rollback holds a revision back")
	}
	if err := a.note(a.userEntry(actor, audit.Resume, why)); err != nil {
		return ended, err
	}
	if err := a.records.SavePause(nil); err != nil {
		return ended, fmt.Errorf("save pause: %w", err)
	}
	a.update(func(v *view) { v.pause = nil })
	return ended, nil
}

// unpin ends the pinning. It runs in the loop, which owns the syncs.
func (a *Agent) unpin(context.Context) outcome {
	last := a.snapshot().sync
	if !last.Pinned() {
		return outcome{} // a newer commit has ended it meanwhile
	}
	resumed := last.Copy()
	if err := resumed.Apply(record.Unpin, time.Now().UTC()); err != nil {
		return outcome{err: err}
	}
	if err := a.records.SaveSync(resumed); err != nil {
		return outcome{err: fmt.Errorf("save sync: %w", err)}
	}
	a.update(func(v *view) { v.sync = resumed })
	return outcome{sync: resumed}
}

// Approve records a user's approval of the plan of the sync that waits for approval, and
// has its gates asked again.
func (a *Agent) Approve(actor audit.Actor, asked request.Approve) (*record.Approval, error) {
	why, err := request.Reason(asked.Reason, true)
	if err != nil {
		return nil, err
	}
	a.people.Lock()
	defer a.people.Unlock()
	sync, err := a.approvable(asked)
	if err != nil {
		return nil, err
	}
	approval := &record.Approval{
		PlanDigest: sync.PlanDigest, Source: record.FromNode, By: []string{actor.String()}, Reason: why, Actor: &actor, At: time.Now().UTC(),
	}
	entry := syncEntry(sync)
	entry.Actor, entry.Action, entry.Detail = actor, audit.Approve, why
	if err := a.note(entry); err != nil {
		return nil, err
	}
	if err := a.records.Approve(sync.Commit, approval); err != nil {
		return nil, fmt.Errorf("save approval: %w", err)
	}
	a.Log.Info("approved", "actor", actor.String(), "revision", short(sync.Commit), "plan", sync.PlanDigest, "reason", why)
	a.nudge()
	return approval, nil
}

// approvable gives the sync that waits for approval, if it is the one that the request
// names.
func (a *Agent) approvable(asked request.Approve) (*record.Sync, error) {
	sync := a.snapshot().sync
	waits := func(gate record.Gate) bool {
		return gate.Waiting != "" && (gate.Name == record.GateApproval || gate.About == gates.AboutAgreement)
	}
	if sync == nil || sync.State != record.Waiting || !slices.ContainsFunc(sync.Gates, waits) {
		return nil, request.Refuse(request.Conflict, "`agent status` shows what is being done", "no rollout waits for approval")
	}
	const shortest = 7
	commit, plan := strings.ToLower(asked.Commit), strings.ToLower(asked.Plan)
	switch {
	case len(commit) < shortest:
		return nil, request.Refuse(request.Invalid, "write at least 7 digits, as `agent status` shows them", "%q does not name a commit", asked.Commit)
	case !strings.HasPrefix(sync.Commit, commit):
		return nil, request.Refuse(request.Conflict, "look at it first: `agent status`, `agent diff`", "the rollout that waits is that of %s, not of %s", short(sync.Commit), asked.Commit)
	case plan != "" && (len(plan) < shortest || !strings.HasPrefix(sync.PlanDigest, plan)):
		return nil, request.Refuse(request.Conflict, "look at it first: `agent diff`", "the plan is %s now, not %s", short(sync.PlanDigest), asked.Plan)
	}
	return sync, nil
}

// Retry tries the held revision again for a user, and follows it to its end.
func (a *Agent) Retry(ctx context.Context, actor audit.Actor, asked request.Retry, progress func(string)) (*record.Sync, error) {
	if err := a.allowRetry(actor, asked); err != nil {
		return nil, err
	}
	return a.Sync(ctx, actor, progress)
}

// allowRetry refuses a retry where nothing is held, and records one that is granted.
func (a *Agent) allowRetry(actor audit.Actor, asked request.Retry) error {
	why, err := request.Reason(asked.Reason, false)
	if err != nil {
		return err
	}
	a.people.Lock()
	defer a.people.Unlock()
	v := a.snapshot()
	held := v.sync
	if held.Pinned() && !held.Rollback.Auto {
		return request.Refuse(request.Conflict, "`agent resume` ends that, and rolls out what is selected", "no revision is held: a rollback by hand keeps the node at %s", short(held.Rollback.Commit))
	}
	if held == nil || held.State != record.Failed && held.State != record.RolledBack {
		return request.Refuse(request.Conflict, "`agent status` shows what is being done; `agent sync` reconciles now", "no revision is held")
	}
	entry := syncEntry(held)
	entry.Actor, entry.Action, entry.Plan, entry.Detail = actor, audit.Retry, "", why
	if err := a.note(entry); err != nil {
		return err
	}
	a.Log.Info("retrying", "actor", actor.String(), "revision", short(held.Commit), "reason", why)
	return nil
}

// userEntry gives the audit entry of a user's request that concerns the whole node.
func (a *Agent) userEntry(actor audit.Actor, action audit.Action, detail string) audit.Entry {
	v := a.snapshot()
	return audit.Entry{
		Actor: actor, Action: action, Kind: audit.Stack, Name: report.StackOf(v.sync, v.deployed), Outcome: audit.Succeeded, Detail: detail,
	}
}

// override records that a user overrides a freeze for the current sync.
func (a *Agent) override(actor audit.Actor, text string) (*record.Override, error) {
	why, err := request.Reason(text, true)
	if err != nil {
		return nil, err
	}
	if err := a.note(a.userEntry(actor, audit.Override, why)); err != nil {
		return nil, err
	}
	return &record.Override{Actor: actor, Reason: why, At: time.Now().UTC()}, nil
}
