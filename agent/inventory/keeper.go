package inventory

import (
	"context"
	"log/slog"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

// surveyEvery is how often an agent that has nothing to do looks at all versions of its secrets
// and configs. It does so after each sync as well.
const surveyEvery = time.Hour

// Keeper looks at the versions of one stack's secrets and configs, and removes old ones.
type Keeper struct {
	Sources   Sources
	Uncertain func() string              // why the live services may differ from what is recorded; "" if they do not
	Note      func(...audit.Entry) error // writes to the audit log
	Seen      func(*Survey)              // takes each survey that may have removed something
	Log       *slog.Logger

	last time.Time // when all versions were looked at; the loop's own
	due  bool      // they are to be looked at; the loop's own
}

// Look gives all versions. It changes nothing.
func (k *Keeper) Look(ctx context.Context) (*Survey, error) { return k.look(ctx, k.Sources.Engine) }

func (k *Keeper) look(ctx context.Context, engine engine) (*Survey, error) {
	sources := k.Sources
	sources.Engine = engine
	survey, err := Look(ctx, sources, time.Now())
	if err == nil && survey.Uncertain == "" {
		survey.Uncertain = k.Uncertain()
	}
	return survey, err
}

// Expect has Settle make a survey: after a sync, or else if the last one is long ago.
func (k *Keeper) Expect(synced bool) {
	k.due = k.due || synced || time.Since(k.last) >= surveyEvery
}

// Settle looks at all versions and removes those that may go, if that is expected. A failure is
// not a failure of the look: it is logged, and the survey is tried again when it is next due.
func (k *Keeper) Settle(ctx context.Context, stock *Stock) {
	if !k.due || ctx.Err() != nil {
		return
	}
	k.due = false
	if _, err := k.collect(ctx, audit.Agent(), stock); err != nil && ctx.Err() == nil {
		k.Log.Warn("cannot list or remove old versions of secrets and configs", "error", err, "hint", fault.Hint(err))
	}
}

// Collect looks at all versions, and removes those that may go unless the state is
// uncertain. Only the loop calls it, after it has looked at the services.
func (k *Keeper) Collect(ctx context.Context, actor audit.Actor) (*Survey, error) {
	return k.collect(ctx, actor, k.Sources.Engine)
}

func (k *Keeper) collect(ctx context.Context, actor audit.Actor, engine engine) (*Survey, error) {
	k.last = time.Now()
	survey, err := k.look(ctx, engine)
	if err != nil {
		return nil, err
	}
	if survey.Uncertain == "" {
		err = survey.Collect(ctx, func(event deploy.Event) error { return k.note(event, actor) })
		for _, version := range survey.Removed {
			k.Log.Info("removed an old version", "stack", survey.Stack, "kind", string(version.Kind), "name", version.Name, "created", version.Created)
		}
	}
	k.Seen(survey)
	return survey, err
}

// note records a removal in the audit log before it is made, and its result.
func (k *Keeper) note(event deploy.Event, actor audit.Actor) error {
	entry := audit.Entry{
		Actor: actor, Action: audit.Remove, Kind: audit.Kind(event.Step.Kind), Name: event.Step.Name,
		Outcome: audit.Started, Detail: "an old version that nothing uses",
	}
	if event.Done {
		entry.Ended(event.Err)
	}
	return k.Note(entry)
}
