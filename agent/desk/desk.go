// Package desk takes users' requests for one stack, and gives each a refusal or what was
// done. It guarantees that a request is in the audit log before it takes effect, and that
// the loop alone changes the stack.
package desk

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/board"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/journal"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/internal/durations"
)

// longestPause is a year: a longer pause is a typing error.
const longestPause = 366 * 24 * time.Hour

// loop is the loop of the agent, for one stack.
type loop interface {
	// Look looks at the stack, and Do does something for it. Both run in the loop.
	Look(ctx context.Context, why rollout.Cause, progress func(string)) rollout.Outcome
	Do(ctx context.Context, do func(context.Context) rollout.Outcome) rollout.Outcome
	// Nudge has the loop look at once, or again when it is busy.
	Nudge()
}

// stack acts on the stack. Both methods run in the loop.
type stack interface {
	Back(ctx context.Context, goal rollout.Rollback, progress func(string)) rollout.Outcome
	Collect(ctx context.Context, actor audit.Actor) (*inventory.Survey, error)
}

// records keep what users decide.
type records interface {
	SavePause(pause *record.Pause) error
	Approve(commit string, approval *record.Approval) error
	consents
}

// consents keep users' consent to an adoption.
type consents interface {
	Adoption() (*record.Adoption, error)
	SaveConsent(given *record.Consent) error
}

// planner says what a rollback would do.
type planner interface {
	PlanBack(ctx context.Context, base rollout.Base, goal rollout.Rollback) (*rollout.RollbackPlan, error)
}

// surveyor lists the versions of secrets and configs.
type surveyor interface {
	Look(ctx context.Context) (*inventory.Survey, error)
}

// Parts are what a desk works with. All are required.
type Parts struct {
	Daemon   *Daemon // that the stack is one of
	Queue    *Queue  // of the loop
	Loop     loop
	Stack    stack
	Board    *board.Board
	Sight    *board.Sight
	Records  records
	Plans    planner
	Versions surveyor
	Left     func() *report.Left                            // says that the stack was taken off the list; nil: it was not
	Remove   func(*record.Approval, *record.Override) error // has such a stack removed, in a freeze too with an override
	Stops    chan<- struct{}                                // ends the wait of a rollout for a rollback
	Note     func(...audit.Entry) error                     // writes to the audit log
	Log      *slog.Logger
}

// Desk takes users' requests for one stack.
type Desk struct {
	parts Parts
	users sync.Mutex // admits one user's request at a time
}

// New makes a desk.
func New(parts Parts) *Desk { return &Desk{parts: parts} }

// inLoop has the loop do something for the stack, and waits for its end. If stops is set,
// it also asks the running rollout to stop.
func (d *Desk) inLoop(ctx context.Context, do func(context.Context) rollout.Outcome, stops chan<- struct{}) rollout.Outcome {
	return d.parts.Queue.do(ctx, func(ctx context.Context) rollout.Outcome { return d.parts.Loop.Do(ctx, do) }, stops)
}

// runFor gives the function that makes the loop look for a user.
func (d *Desk) runFor(why rollout.Cause) request.Run {
	return func(ctx context.Context, progress func(string)) (*record.Sync, error) {
		done := d.parts.Queue.look(ctx, d, why, progress)
		return done.Sync, done.Err
	}
}

// GrantSync allows a sync for an actor. It records who overrides a freeze, and the reason that is
// given. A held revision is tried again.
func (d *Desk) GrantSync(actor audit.Actor, asked request.Sync) (request.Run, error) {
	why := rollout.Cause{Trigger: record.OnRequest, Actor: actor, To: asked.To}
	if err := d.NoteTag(actor, asked.To); err != nil {
		return nil, err
	}
	reason, err := request.Reason(asked.Reason, asked.OverrideFreeze)
	switch {
	case err != nil:
		return nil, err
	case reason != "" && !asked.OverrideFreeze:
		if err := d.parts.Note(d.userEntry(actor, audit.Ask, reason)); err != nil {
			return nil, err
		}
	case asked.OverrideFreeze:
		if err := d.parts.Note(d.userEntry(actor, audit.Override, reason)); err != nil {
			return nil, err
		}
		why.Override = &record.Override{Actor: actor, Reason: reason, At: time.Now().UTC()}
	}
	return d.runFor(why), nil
}

// NoteTag notes in the audit log that a user asks for a tag; "" for none.
func (d *Desk) NoteTag(actor audit.Actor, tag string) error {
	if tag == "" {
		return nil
	}
	text := fmt.Sprintf("asked for tag %.100q", tag)
	if last := d.parts.Board.Snapshot().Last; last != nil {
		text += ", from " + last.Ref
	}
	return d.parts.Note(d.userEntry(actor, audit.Select, text))
}

// GrantRetry allows another attempt at the held revision, and records it.
func (d *Desk) GrantRetry(actor audit.Actor, asked request.Retry) (request.Run, error) {
	if err := d.allowRetry(actor, asked); err != nil {
		return nil, err
	}
	return d.runFor(rollout.Cause{Trigger: record.OnRequest, Actor: actor}), nil
}

// rollbackOf gives the goal of a user's rollback.
func rollbackOf(actor audit.Actor, q request.Rollback) (rollout.Rollback, error) {
	why, err := request.Reason(q.Reason, false)
	return rollout.Rollback{To: q.To, Services: q.Services, Actor: actor, Reason: why, Force: q.Force, Digest: q.Digest}, err
}

// PlanRollback says what a rollback would do. It changes nothing.
func (d *Desk) PlanRollback(ctx context.Context, actor audit.Actor, asked request.Rollback) (*request.RollbackPlan, error) {
	goal, err := rollbackOf(actor, asked)
	if err != nil {
		return nil, err
	}
	plan, err := d.parts.Plans.PlanBack(ctx, d.parts.Board.Snapshot().Base(), goal)
	if err != nil {
		return nil, err
	}
	return &request.RollbackPlan{
		To: plan.To.SyncID, Commit: plan.To.Commit, Release: plan.To.Release, At: plan.To.At, Services: plan.Sync.Rollback.Services,
		Leaves: plan.Sync.Commit, Digest: plan.Digest, Plan: plan.Plan,
	}, nil
}

// GrantRollback allows a rollback to a good state if the request is valid. The run refuses
// it if a check fails. If the request has a plan's digest, only that plan is applied. A
// rollout that waits for its services is stopped, unless the rollback is refused.
func (d *Desk) GrantRollback(actor audit.Actor, asked request.Rollback) (request.Run, error) {
	goal, err := rollbackOf(actor, asked)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, progress func(string)) (*record.Sync, error) {
		if goal.Digest == "" { // otherwise the user asked for the plan before
			if _, err := d.PlanRollback(ctx, actor, asked); err != nil {
				return nil, err
			}
		}
		done := d.inLoop(ctx, func(ctx context.Context) rollout.Outcome {
			return d.parts.Stack.Back(ctx, goal, progress)
		}, d.parts.Stops)
		return done.Sync, done.Err
	}, nil
}

// Pause keeps rollouts from beginning, until the pause ends or a user resumes. A running
// rollout will finish. Another pause replaces the one before.
func (d *Desk) Pause(actor audit.Actor, asked request.Pause) (*record.Pause, error) {
	why, err := request.Reason(asked.Reason, true)
	if err != nil {
		return nil, err
	}
	pause := &record.Pause{Actor: actor, Reason: why, Since: time.Now().UTC()}
	detail := "until a user resumes: " + why
	if asked.For != "" {
		length, err := durations.Parse(asked.For)
		if err != nil || length <= 0 || length > longestPause {
			return nil, request.Refuse(request.Invalid, "write a duration such as 2h or 2d", "%q is not a valid pause duration", asked.For)
		}
		pause.Until = pause.Since.Add(length)
		detail = fmt.Sprintf("until %s: %s", pause.Until.Format(time.RFC3339), why)
	}
	d.users.Lock()
	defer d.users.Unlock()
	if err := d.parts.Note(d.userEntry(actor, audit.Pause, detail)); err != nil {
		return nil, err
	}
	if err := d.parts.Records.SavePause(pause); err != nil {
		return nil, fmt.Errorf("save pause: %w", err)
	}
	d.parts.Board.Update(func(v *board.View) { v.Pause = pause })
	d.parts.Log.Info("paused", "actor", actor.String(), "until", pause.Until, "reason", why)
	d.parts.Loop.Nudge()
	return pause, nil
}

// Resume ends a pause and the pinning after a rollback. What is due is done at once.
func (d *Desk) Resume(ctx context.Context, actor audit.Actor, asked request.Resume) (request.Resumed, error) {
	why, err := request.Reason(asked.Reason, false)
	if err != nil {
		return request.Resumed{}, err
	}
	ended, err := d.endPause(actor, why)
	if err != nil {
		return ended, err
	}
	if ended.Pin != "" { // outside the lock: other users need not wait for the loop
		if done := d.inLoop(ctx, d.unpin, nil); done.Err != nil {
			return ended, done.Err
		}
	}
	d.parts.Log.Info("resumed", "actor", actor.String(), "reason", why)
	d.parts.Loop.Nudge()
	return ended, nil
}

// endPause ends the current pause, and gives it with the commit that is pinned.
func (d *Desk) endPause(actor audit.Actor, why string) (request.Resumed, error) {
	d.users.Lock()
	defer d.users.Unlock()
	ended := request.Resumed{Pause: d.parts.Board.Snapshot().Paused()}
	if last := d.parts.Board.Snapshot().Last; last.Pinned() {
		ended.Pin = last.Rollback.Commit
	}
	if ended.Pause == nil && ended.Pin == "" {
		return ended, request.Refuse(request.Conflict, "`agent status` shows what the agent does; a revision that failed is tried again by `agent retry`", "nothing is paused, and no rollback holds a revision back")
	}
	if err := d.parts.Note(d.userEntry(actor, audit.Resume, why)); err != nil {
		return ended, err
	}
	if err := d.parts.Records.SavePause(nil); err != nil {
		return ended, fmt.Errorf("save pause: %w", err)
	}
	d.parts.Board.Update(func(v *board.View) { v.Pause = nil })
	return ended, nil
}

// unpin ends the pinning. It runs in the loop, which owns the syncs.
func (d *Desk) unpin(context.Context) rollout.Outcome {
	last := d.parts.Board.Snapshot().Last
	if !last.Pinned() {
		return rollout.Outcome{} // a newer commit has ended it meanwhile
	}
	resumed := last.Copy()
	if err := resumed.Apply(record.Unpin, time.Now().UTC()); err != nil {
		return rollout.Outcome{Err: err}
	}
	return rollout.Outcome{Sync: resumed, Err: d.parts.Board.Save(resumed)}
}

// Approve records a user's approval of the plan of the sync that waits for approval, and
// has its gates asked again.
func (d *Desk) Approve(actor audit.Actor, asked request.Approve) (*record.Approval, error) {
	why, err := request.Reason(asked.Reason, true)
	if err != nil {
		return nil, err
	}
	d.users.Lock()
	defer d.users.Unlock()
	if left := d.parts.Left(); left != nil {
		return d.approveRemoval(actor, asked, left, why)
	}
	if asked.OverrideFreeze {
		return nil, request.Refuse(request.Invalid, "approve it without, then `agent sync --override-freeze --reason …`", "only the removal of a stack is approved with --override-freeze")
	}
	sync, err := d.approvable(asked)
	if err != nil {
		return nil, err
	}
	approval := &record.Approval{
		PlanDigest: sync.PlanDigest, Source: record.FromNode, By: []string{actor.String()}, Reason: why, Actor: &actor, At: time.Now().UTC(),
	}
	entry := journal.SyncEntry(sync)
	entry.Actor, entry.Action, entry.Detail = actor, audit.Approve, why
	if err := d.parts.Note(entry); err != nil {
		return nil, err
	}
	if err := d.parts.Records.Approve(sync.Commit, approval); err != nil {
		return nil, fmt.Errorf("save approval: %w", err)
	}
	d.parts.Log.Info("approved", "actor", actor.String(), "revision", record.Short(sync.Commit), "plan", sync.PlanDigest, "reason", why)
	d.parts.Loop.Nudge()
	return approval, nil
}

// shortest is how many digits of a commit or a plan a request has to give.
const shortest = 7

// approvable gives the sync that waits for approval, if it is the one that the request
// names.
func (d *Desk) approvable(asked request.Approve) (*record.Sync, error) {
	sync := d.parts.Board.Snapshot().Last
	if sync == nil || sync.State != record.Waiting || !slices.ContainsFunc(sync.Gates, gates.TakesApproval) {
		return nil, request.Refuse(request.Conflict, "`agent status` shows what is being done", "no rollout waits for approval")
	}
	commit, plan := strings.ToLower(asked.Commit), strings.ToLower(asked.Plan)
	switch {
	case len(commit) < shortest:
		return nil, request.Refuse(request.Invalid, "write at least 7 digits, as `agent status` shows them", "%q does not name a commit", asked.Commit)
	case !strings.HasPrefix(sync.Commit, commit):
		return nil, request.Refuse(request.Conflict, "look at it first: `agent status`, `agent diff`", "the rollout that waits is that of %s, not of %s", record.Short(sync.Commit), asked.Commit)
	case plan != "" && (len(plan) < shortest || !strings.HasPrefix(sync.PlanDigest, plan)):
		return nil, request.Refuse(request.Conflict, "look at it first: `agent diff`", "the plan is %s now, not %s", record.Short(sync.PlanDigest), asked.Plan)
	}
	return sync, nil
}

// allowRetry refuses a retry where nothing is held, and records one that is granted.
func (d *Desk) allowRetry(actor audit.Actor, asked request.Retry) error {
	why, err := request.Reason(asked.Reason, false)
	if err != nil {
		return err
	}
	d.users.Lock()
	defer d.users.Unlock()
	v := d.parts.Board.Snapshot()
	held := v.Last
	if held.Pinned() && !held.Rollback.Auto {
		return request.Refuse(request.Conflict, "`agent resume` ends that, and rolls out what is selected", "no revision is held: a rollback by hand keeps the node at %s", record.Short(held.Rollback.Commit))
	}
	if held == nil || held.State != record.Failed && held.State != record.RolledBack {
		return request.Refuse(request.Conflict, "`agent status` shows what is being done; `agent sync` reconciles now", "no revision is held")
	}
	entry := journal.SyncEntry(held)
	entry.Actor, entry.Action, entry.Plan, entry.Detail = actor, audit.Retry, "", why
	if err := d.parts.Note(entry); err != nil {
		return err
	}
	d.parts.Log.Info("retrying", "actor", actor.String(), "revision", record.Short(held.Commit), "reason", why)
	return nil
}

// userEntry gives the audit entry of a user's request that concerns the whole node.
func (d *Desk) userEntry(actor audit.Actor, action audit.Action, detail string) audit.Entry {
	v := d.parts.Board.Snapshot()
	return audit.Entry{
		Actor: actor, Action: action, Kind: audit.Stack, Name: report.StackOf(v.Last, v.Deployed), Outcome: audit.Succeeded, Detail: detail,
	}
}

// Survey lists the versions of secrets and configs. It changes nothing.
func (d *Desk) Survey(ctx context.Context) (*inventory.Survey, error) {
	return d.parts.Versions.Look(ctx)
}

// Collect asks the running loop to remove the versions that may go now, for an actor, and
// waits for it.
func (d *Desk) Collect(ctx context.Context, actor audit.Actor) (*inventory.Survey, error) {
	var survey *inventory.Survey
	result := d.inLoop(ctx, func(ctx context.Context) (done rollout.Outcome) {
		survey, done.Err = d.parts.Stack.Collect(ctx, actor)
		return done
	}, nil)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return survey, result.Err
}

// Rollout gives the state of the services that the agent waits for now; nil if it waits
// for none.
func (d *Desk) Rollout() *report.Rollout { return d.parts.Board.Snapshot().Rollout }
