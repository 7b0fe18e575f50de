package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

// surveyEvery is how often an agent that has nothing to do looks at all versions
// of its secrets and configs. It does so after each sync as well.
const surveyEvery = time.Hour

// collector is the part of the engine that a survey needs.
type collector interface {
	Inventory(ctx context.Context) (*deploy.Inventory, error)
	Collect(ctx context.Context, due []deploy.Version, keep deploy.Retention, note func(deploy.Event) error) (removed, used []deploy.Version, err error)
}

// Survey is what the running agent has of versions. It changes nothing.
func (a *Agent) Survey(ctx context.Context) (*inventory.Survey, error) {
	survey, err := inventory.Look(ctx, inventory.Sources{Engine: a.Engine, Records: a.records, Usage: a.Store}, time.Now())
	if err == nil && survey.Uncertain == "" {
		survey.Uncertain = a.snapshot().uncertain()
	}
	return survey, err
}

// uncertain says why the live services may differ from what the state file records; "" if
// they do not.
func (v view) uncertain() string {
	switch {
	case v.sync == nil:
		return "nothing was synced yet"
	case !v.sync.Verified():
		return fmt.Sprintf("the last sync, #%d, is %s", v.sync.ID, v.sync.State)
	case len(v.drift) > 0:
		return "live services drifted: " + strings.Join(stepNames(v.drift), ", ")
	}
	return ""
}

// Collect asks the running loop to remove the versions that may go now, for an
// actor, and waits for it.
func (a *Agent) Collect(ctx context.Context, actor audit.Actor) (*inventory.Survey, error) {
	var survey *inventory.Survey
	result := a.inLoop(ctx, false, func(ctx context.Context) (done outcome) {
		if survey, done.err = a.collectNow(ctx, actor); done.err == nil && survey.Uncertain != "" {
			done.err = fault.New(fault.Place{}, "see `agent status`", "nothing was removed: %s", survey.Uncertain)
		}
		return done
	})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return survey, result.err
}

// collectNow looks at the services first, as each look does.
func (a *Agent) collectNow(ctx context.Context, actor audit.Actor) (*inventory.Survey, error) {
	if v := a.snapshot(); v.pollError != nil {
		return nil, fault.WithHint(fmt.Errorf("nothing was removed: the last look failed: %w", v.pollError), fault.Hint(v.pollError))
	}
	if _, err := a.observe(ctx); err != nil {
		return nil, err
	}
	return a.survey(ctx, actor)
}

// surveyWhenDue makes the survey of an idle look. Its failure is not a failure of the
// look: it is logged, and the survey is tried again when it is next due.
func (a *Agent) surveyWhenDue(ctx context.Context) {
	if v := a.snapshot(); v.deployed != nil && time.Since(v.surveyed) >= surveyEvery {
		a.surveyNow(ctx)
	}
}

func (a *Agent) surveyNow(ctx context.Context) {
	if _, err := a.survey(ctx, audit.Agent()); err != nil && ctx.Err() == nil {
		a.Log.Warn("cannot list or remove old versions of secrets and configs", "error", err.Error(), "hint", fault.Hint(err))
	}
}

// survey looks at all versions, and removes those that may go unless the state is
// uncertain. Only the loop calls it, after it has looked at the services.
func (a *Agent) survey(ctx context.Context, actor audit.Actor) (*inventory.Survey, error) {
	now := time.Now()
	a.update(func(v *view) { v.surveyed = now })
	survey, err := a.Survey(ctx)
	if err != nil {
		return nil, err
	}
	if survey.Uncertain == "" {
		err = survey.Collect(ctx, func(event deploy.Event) error { return a.noteRemoval(event, actor) })
		for _, version := range survey.Removed {
			a.Log.Info("removed an old version", "stack", survey.Stack, "kind", string(version.Kind), "name", version.Name, "created", version.Created)
		}
	}
	a.Metrics.Surveyed(survey)
	a.update(func(v *view) { v.rotations = survey.Rotations() })
	return survey, err
}

// noteRemoval records a removal in the audit log before it is made, and its result.
func (a *Agent) noteRemoval(event deploy.Event, actor audit.Actor) error {
	entry := audit.Entry{
		Actor: actor, Action: audit.Remove, Kind: audit.Kind(event.Step.Kind), Name: event.Step.Name,
		Outcome: audit.Started, Detail: "an old version that nothing uses",
	}
	switch {
	case event.Err != nil:
		entry.Outcome, entry.Error = audit.Failed, event.Err.Error()
	case event.Done:
		entry.Outcome = audit.Succeeded
	}
	return a.note(entry)
}

// noteObjects adds to the good state the objects that a rollback needs, and how long
// config.yml keeps old ones.
func (r *reconcile) noteObjects(applied *record.GoodState) (err error) {
	if applied.Networks, err = json.Marshal(r.stack.Networks); err != nil {
		return fmt.Errorf("record networks: %w", err)
	}
	for _, secret := range r.stack.Secrets {
		applied.Secrets = append(applied.Secrets, record.Object{
			Name: secret.Spec.Name, Key: secret.Key, Rotate: r.rotationPeriod(secret.Key, secret.Variable),
		})
	}
	for _, config := range r.stack.Configs {
		applied.Configs = append(applied.Configs, record.Object{Name: config.Spec.Name, Key: config.Key})
	}
	for _, name := range r.stack.ExternalSecrets {
		applied.Secrets = append(applied.Secrets, record.Object{Name: name})
	}
	for _, name := range r.stack.ExternalConfigs {
		applied.Configs = append(applied.Configs, record.Object{Name: name})
	}
	byName := func(a, b record.Object) int { return strings.Compare(a.Name, b.Name) }
	slices.SortStableFunc(applied.Secrets, byName)
	slices.SortStableFunc(applied.Configs, byName)
	config := r.node.Config
	applied.Retention = record.Retention{After: config.SecretRetention(), Versions: config.Secrets.Retention.Versions}
	return nil
}

// rotationPeriod gives the rotation period of a secret by its key, or by the name of its
// SV_ variable.
func (r *reconcile) rotationPeriod(key, variable string) time.Duration {
	exceptions := r.node.Config.Secrets.RotationExceptions
	name := strings.TrimPrefix(variable, "SV_")
	if _, own := exceptions[key]; !own {
		if _, own := exceptions[name]; own {
			return r.node.Config.RotationPeriod(name)
		}
	}
	return r.node.Config.RotationPeriod(key)
}
