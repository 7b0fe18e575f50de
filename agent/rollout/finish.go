package rollout

import (
	"context"
	"errors"
	"time"

	"coin.internal/coin-agent/agent/explain"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// finish decides the outcome of a rollout, records it and publishes it.
func (f *forward) finish(ctx context.Context, err error) Outcome {
	a := f.a
	if err != nil && ctx.Err() != nil {
		return Outcome{Sync: a.sync, Err: err} // the agent is stopping: the next start continues
	}
	a.clearScreen()
	switch {
	case errors.Is(err, errWaiting):
		return f.leaveWaiting()
	case errors.Is(err, ErrSuperseded), errors.Is(err, ErrStopped):
		return Outcome{Sync: a.sync, Err: err}
	}
	f.keep()
	a.sync.Inputs = f.checkout.Inputs()
	if err != nil && !Transient(err) {
		a.database.failed(ctx)
	}
	err = entries{a}.end(err)
	var good *record.GoodState
	if err == nil {
		good, err = f.succeed()
	}
	if err != nil {
		if failErr := f.fail(err); failErr != nil {
			return Outcome{Sync: a.sync, Err: failErr}
		}
		if done, went := f.rollouts.backAfter(ctx, a); went {
			return done
		}
	}
	// The report is queued first: if the agent is killed in between, it continues this sync
	// and queues the same report, which the outbox takes once.
	if publishErr := f.publish(); publishErr != nil {
		return Outcome{Sync: a.sync, Err: publishErr}
	}
	if saveErr := a.use.Ledger.End(a.sync, good); saveErr != nil {
		return Outcome{Sync: a.sync, Err: saveErr}
	}
	if a.sync.Transient {
		return Outcome{Sync: a.sync, Err: err}
	}
	return Outcome{Sync: a.sync, Over: true, Observed: a.observed}
}

func (a *attempt) clearScreen() {
	a.use.Screen.Progress("")
	a.use.Screen.Services(nil)
}

// leaveWaiting leaves the sync waiting; the next look asks the gates again.
func (f *forward) leaveWaiting() Outcome {
	f.keep()
	done := f.publishWaiting()
	if done.Err == nil {
		remember(f)
	}
	return done
}

// publishWaiting publishes what the sync waits for, and records it.
func (f *forward) publishWaiting() Outcome {
	a := f.a
	if a.sync.Waiting != f.waited {
		a.use.Log.Info("waiting", "revision", record.Short(a.sync.Commit), "reason", a.sync.Waiting)
	}
	if err := a.use.Publish.Sync(a.sync); err != nil {
		return Outcome{Err: err}
	}
	return Outcome{Sync: a.sync, Err: a.use.Ledger.Save(a.sync)}
}

func (f *forward) succeed() (*record.GoodState, error) {
	plan, err := begunPlan(f.a)
	if err != nil {
		return nil, err
	}
	maker := goodMaker{f.a, f.checkout}
	good, err := maker.state()
	if err != nil {
		return nil, err
	}
	f.a.sync.Summary = report.Summary(plan)
	err = f.a.sync.Apply(record.Succeed, time.Now())
	if err != nil {
		return nil, err
	}
	good.At = f.a.sync.Finished
	return good, maker.soak(good)
}

// fail is the one place where an error becomes the outcome of a rollout.
func (f *forward) fail(err error) error {
	a, sync := f.a, f.a.sync
	if applyErr := sync.Apply(record.Fail, time.Now()); applyErr != nil {
		return applyErr
	}
	sync.Transient, sync.Rules = Transient(err), ""
	if !sync.Wrote && byRules(err) {
		sync.Rules = a.rules
	}
	if sync.Transient {
		sync.Retries++
	}
	if at, ok := errors.AsType[stageError](err); ok {
		sync.Stage, err = at.stage, at.err
	}
	sync.Error, sync.Hint, sync.Faults = faults(err)
	sync.Code = explain.Code(err, sync.Stage)
	a.use.Log.Error("sync failed", "revision", record.Short(sync.Commit), "stage", sync.Stage, "error", sync.Error, "hint", sync.Hint, "code", sync.Code)
	return nil
}

// quietRetries is how often a rollout is tried again before the failure is published.
const quietRetries = 3

// publish publishes the outcome, unless a user only asked for another look at a commit that
// GitLab knows to be good.
func (f *forward) publish() error {
	sync := f.a.sync
	switch {
	case f.known && !sync.Wrote && sync.State == record.Succeeded:
		return nil
	case sync.Transient && sync.Wrote && sync.Retries < quietRetries:
		return nil // GitLab still shows it running: a transient failure of the engine is not a failed rollout
	case sync.Transient && !sync.Wrote && !f.a.entered:
		return nil // it may not be on record: nothing would end the status of a sync that is not
	case sync.Transient && !sync.Wrote:
		return f.a.use.Publish.Pending(sync)
	}
	return f.a.use.Publish.Sync(sync)
}
