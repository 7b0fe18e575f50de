package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

// surveyEvery is how often an agent that has nothing to do looks at all versions
// of its secrets and configs. It does so after each sync as well.
const surveyEvery = time.Hour

// collector is the engine as a survey needs it.
type collector interface {
	Inventory(ctx context.Context) (*deploy.Inventory, error)
	Collect(ctx context.Context, due []deploy.Version, keep deploy.Retention, note func(deploy.Event) error) (removed, used []deploy.Version, err error)
}

// Survey is what there is of a node's secrets and configs, and what of it stays.
type Survey struct {
	Stack     string           `json:"stack"`
	At        time.Time        `json:"at"`
	Retention record.Retention `json:"retention"`
	Versions  []deploy.Version `json:"versions"` // secrets first, by key, the newest first
	Secrets   []ListedSecret   `json:"secrets,omitempty"`

	// Uncertain says why nothing is removed now; "" where it may be.
	Uncertain string           `json:"uncertain,omitempty"`
	Removed   []deploy.Version `json:"removed,omitempty"`
	Used      []deploy.Version `json:"used,omitempty"` // the engine says that these are in use after all

	applied *record.GoodState
	keep    deploy.Retention
	stock   *deploy.Inventory
}

// Look makes a survey that changes nothing, from the engine and the state file.
func Look(ctx context.Context, engine collector, store *store.Store, now time.Time) (*Survey, error) {
	stack := store.Stack(record.OnlyStack)
	applied, err := stack.Deployed()
	if err != nil {
		return nil, fmt.Errorf("recall what was applied: %w", err)
	}
	if applied == nil {
		return nil, fault.New(fault.Place{}, "`agent status` says how far the first sync is", "nothing was applied and proven yet")
	}
	good, err := stack.AllGood(now)
	if err != nil {
		return nil, fmt.Errorf("recall good states: %w", err)
	}
	since, err := store.Unused()
	if err != nil {
		return nil, fmt.Errorf("recall what is unused: %w", err)
	}
	stock, err := engine.Inventory(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at the versions: %w", err)
	}
	s := &Survey{Stack: applied.StackName, At: now, Retention: applied.Retention, applied: applied, stock: stock}
	s.keep = deploy.Retention{
		Owner: applied.Owner, Stack: applied.StackName, Versions: applied.Retention.Versions, After: applied.Retention.After,
		Good: records(good), Since: since, Now: now,
	}
	s.Versions = stock.Versions(s.keep)
	s.Secrets = s.listed()
	if s.Retention.Versions < 1 || len(good) == 0 {
		s.Uncertain = "the next sync has to record first what it applies"
	}
	return s, nil
}

func records(good []record.GoodState) []deploy.GoodState {
	names := func(objects []record.Object) (names []string) {
		for _, object := range objects {
			names = append(names, object.Name)
		}
		return names
	}
	var all []deploy.GoodState
	for _, one := range good {
		all = append(all, deploy.GoodState{Commit: one.Commit, At: one.At, Secrets: names(one.Secrets), Configs: names(one.Configs)})
	}
	return all
}

// Survey is what the running agent has of versions. It changes nothing.
func (a *Agent) Survey(ctx context.Context) (*Survey, error) {
	survey, err := Look(ctx, a.Engine, a.Store, time.Now())
	if err == nil && survey.Uncertain == "" {
		survey.Uncertain = a.snapshot().uncertain()
	}
	return survey, err
}

// uncertain says why what runs may not be what the state file says; "" where it is.
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
func (a *Agent) Collect(ctx context.Context, actor audit.Actor) (*Survey, error) {
	var survey *Survey
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
func (a *Agent) collectNow(ctx context.Context, actor audit.Actor) (*Survey, error) {
	if v := a.snapshot(); v.pollError != nil {
		return nil, fault.WithHint(fmt.Errorf("nothing was removed: the last look failed: %w", v.pollError), fault.Hint(v.pollError))
	}
	if _, err := a.observe(ctx); err != nil {
		return nil, err
	}
	return a.survey(ctx, actor)
}

// surveyWhenDue makes the survey of an idle look. What goes wrong with it is no
// fault of the look: it is logged, and tried again in its time.
func (a *Agent) surveyWhenDue(ctx context.Context) {
	if v := a.snapshot(); v.applied != nil && time.Since(v.surveyed) >= surveyEvery {
		a.surveyNow(ctx)
	}
}

func (a *Agent) surveyNow(ctx context.Context) {
	if _, err := a.survey(ctx, audit.Agent()); err != nil && ctx.Err() == nil {
		a.Log.Warn("cannot look after old versions of secrets and configs", "error", err.Error(), "hint", fault.Hint(err))
	}
}

// survey looks at all versions, and removes what may go unless the state is
// uncertain: it is to be called after the services were looked at, from the loop.
func (a *Agent) survey(ctx context.Context, actor audit.Actor) (*Survey, error) {
	now := time.Now()
	a.update(func(v *view) { v.surveyed = now })
	survey, err := a.Survey(ctx)
	if err != nil {
		return nil, err
	}
	if survey.Uncertain == "" {
		err = a.collect(ctx, survey, actor)
	}
	a.Metrics.versions(survey)
	a.update(func(v *view) { v.rotations = survey.rotations() })
	return survey, err
}

// collect removes the versions that may go, after it has noted since when each is
// unused and dropped the good states whose time is over.
func (a *Agent) collect(ctx context.Context, s *Survey, actor audit.Actor) (err error) {
	if err := a.records.PruneGood(s.At); err != nil {
		return fmt.Errorf("drop old good states: %w", err)
	}
	var unused []string
	for _, version := range s.Versions {
		if version.Unused && s.keep.Own(version) {
			unused = append(unused, version.ID)
		}
	}
	if s.keep.Since, err = a.Store.SeeUnused(unused, s.At); err != nil {
		return fmt.Errorf("note what is unused: %w", err)
	}
	s.Versions = s.stock.Versions(s.keep)
	s.Removed, s.Used, err = a.Engine.Collect(ctx, deploy.Collectable(s.Versions), s.keep, func(event deploy.Event) error {
		return a.noteRemoval(event, actor)
	})
	for _, version := range s.Removed {
		a.Log.Info("removed an old version", "stack", s.Stack, "kind", string(version.Kind), "name", version.Name, "created", version.Created)
	}
	for i := range s.Versions {
		if slices.ContainsFunc(s.Used, func(used deploy.Version) bool { return used.ID == s.Versions[i].ID }) {
			s.Versions[i].Kept = append(s.Versions[i].Kept, "a service has begun to use it")
		}
	}
	s.Versions = slices.DeleteFunc(s.Versions, func(v deploy.Version) bool {
		return slices.ContainsFunc(s.Removed, func(gone deploy.Version) bool { return gone.ID == v.ID })
	})
	return err
}

// noteRemoval has the audit log tell of a removal before it is made, and how it
// ended.
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

// noteObjects adds to what was applied the objects that a rollback would need, and
// what config.yml says of old ones.
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

// rotationPeriod is that of a secret by its key, or by the name of its SV_.
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
