// Package services takes the live services of a stack and its deployed good state, and gives the
// loop how many differ, and which of those the agent may put back. It guarantees that what it has
// seen is on the board, and sent to the receivers of notices, before the loop decides.
package services

import (
	"context"
	"log/slog"
	"time"

	"coin.internal/coin-agent/agent/board"
	"coin.internal/coin-agent/agent/decision"
	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

// judge judges whether the deployed release stays healthy.
type judge interface {
	Look(ctx context.Context, name string, seen drift.Seen) error
}

// measures are the metrics of the stack.
type measures interface {
	Drift(services int)
}

// publisher tells the receivers of notices.
type publisher interface {
	Drift(last *record.Sync, good *record.GoodState, steps []deploy.Step, contests []drift.Contest) error
}

// policy says why the node's policy refuses the deployed good state; nil if it does not.
type policy interface {
	Forbidden(ctx context.Context, base rollout.Base) error
}

// Watch reads the services of one stack. Only the loop uses it. All of its parts are required.
type Watch struct {
	Board       *board.Board
	Sight       *board.Sight
	Live        *drift.Watch
	Corrections drift.Corrections
	Health      *health.Watch
	Soak        judge
	Rollouts    policy
	Metrics     measures
	Publish     publisher
	Log         *slog.Logger
}

// Deployed says that the services that run are those of the deployed good state.
func (w *Watch) Deployed() {
	at := w.Board.Snapshot().Deployed.At
	w.Live.Deployed(at)
	w.Health.Deployed(at)
}

// Look reads the live services, and gives how many differ from the deployed good state.
// While unverified changes are deployed, no drift is noted: the failed sync reports them.
func (w *Watch) Look(ctx context.Context) (drifted decision.Drift, err error) {
	v := w.Board.Snapshot()
	name := v.Stack()
	if name == "" {
		return drifted, nil
	}
	good := v.Deployed
	if v.Last.Dirty() != 0 {
		good = nil
	}
	w.Board.Update(func(v *board.View) { v.Reading = true })
	seen, err := w.Live.Look(ctx, name, good)
	w.Board.Update(func(v *board.View) { v.Reading, v.Unread = false, err })
	if err != nil {
		return drifted, err
	}
	steps := seen.Drift
	if len(steps) > 0 && len(v.Drift) == 0 {
		w.Log.Warn("live services drifted", "stack", name, "services", board.StepNames(steps))
	}
	contests, contest, err := w.contested(v, steps)
	if err != nil {
		return drifted, err
	}
	forbidden := w.forbidden(ctx, v, steps)
	w.Board.Update(func(v *board.View) {
		v.Saw(seen.Services, steps, seen.Ignored)
		v.Contests, v.Forbidden = drift.Held(contests, v.Observed), forbidden
	})
	w.Metrics.Drift(len(steps))
	if err := w.Soak.Look(ctx, name, seen); err != nil {
		return drifted, err
	}
	if good != nil && (len(steps) > 0 || !contest) { // a contest is one drift, however often it is corrected
		err = w.Publish.Drift(v.Last, good, steps, contests)
	}
	return decision.Drift{Services: len(steps), Contested: len(drift.Contested(w.Board.Snapshot().Contests)), Unowned: seen.Unowned, Refused: forbidden != nil}, err
}

// forbidden says why a drift that is to be corrected is not: the node's policy refuses the
// deployed good state. It is told once.
func (w *Watch) forbidden(ctx context.Context, v board.View, drifted []deploy.Step) error {
	if len(drifted) == 0 || !Corrects(v.Deployed) {
		return nil
	}
	err := w.Rollouts.Forbidden(ctx, v.Base())
	if err != nil && (v.Forbidden == nil || v.Forbidden.Error() != err.Error()) {
		w.Log.Warn("drift is not corrected: the node's policy refuses the deployed good state", "error", err, "hint", fault.Hint(err))
	}
	return err
}

// contested gives the contests of the drifted fields, and whether any contest goes on. It
// logs those that begin.
func (w *Watch) contested(v board.View, drifted []deploy.Step) (contests []drift.Contest, goesOn bool, err error) {
	if !Corrects(v.Deployed) {
		return nil, false, nil
	}
	contests, goesOn, err = w.Corrections.Contests(v.Last, drifted)
	for _, contest := range drift.Begun(drift.Held(contests, time.Now()), v.Contests) {
		w.Log.Warn("another process changes back what the agent corrects", "service", contest.Service,
			"reason", report.ContestText(v.Stack(), contest), "again", contest.Again.UTC().Format(time.RFC3339))
	}
	return contests, goesOn, err
}

// Correction gives what the correction of the present drift puts back, and which services it
// leaves as they are.
func (w *Watch) Correction() (made rollout.Correction) {
	v := w.Board.Snapshot()
	made.Fields, made.Leaves = drift.PutBack(v.Drift, v.Contests)
	return made
}

// Corrects reports whether the deployed config.yml wants drift to be corrected.
func Corrects(deployed *record.GoodState) bool {
	return deployed != nil && deployed.Drift == string(manifests.DriftCorrect)
}
