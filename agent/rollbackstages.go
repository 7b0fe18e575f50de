package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/docker/docker/api/types/container"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

// loadGoodState reads the good state: the services that it had, and, from its files,
// config.yml, the checks and the values of secrets. If the files cannot be read, the
// rollback is verified by its services only, and a warning says so.
func (r *reconcile) loadGoodState(context.Context) error {
	b := r.rollback
	if running := r.sync.Stack; running != "" && running != b.to.StackName {
		return fault.New(fault.Place{}, "roll out a commit that brings it back, or remove the stack by hand",
			"the good state of sync #%d is of the stack %s, and the node's stack is %s now", b.to.SyncID, b.to.StackName, running)
	}
	stack, err := appliedStack(b.to)
	if err != nil {
		return err
	}
	if len(b.to.Networks) > 0 {
		if err := json.Unmarshal(b.to.Networks, &stack.Networks); err != nil {
			return fmt.Errorf("recall the applied networks: %w", err)
		}
	}
	stack.Release, stack.ExternalNetworks = b.to.Release, foreignNetworks(stack)
	rendered, err := r.openState()
	if err != nil {
		r.warnUnchecked(err)
	}
	nameObjects(stack, b.to, rendered)
	b.before, r.stack = stack, stack
	if r.node == nil {
		return nil
	}
	if err := r.readyChecks(); err != nil {
		r.questions, r.migrations = nil, nil
		r.warnUnchecked(err)
	}
	return nil
}

// warnUnchecked adds the warning that the checks of a good state cannot be asked.
func (r *reconcile) warnUnchecked(why error) {
	r.attempt.Warnings = append(r.attempt.Warnings, fmt.Sprintf("the checks of sync #%d are not asked, only its services are verified: %s", r.rollback.to.SyncID, why))
}

// openState reads the files of the good state, and renders them for the values of secrets
// and configs. The rest of the rendered stack is not used.
func (r *reconcile) openState() (*compose.Stack, error) {
	files, err := r.Store.Files(r.rollback.to)
	if err != nil {
		return nil, err
	}
	if files == nil {
		return nil, errors.New("an earlier version of the agent recorded it without its files")
	}
	state, err := desired.Open(files, r.nodeOptions())
	if err != nil {
		return nil, err
	}
	r.desired, r.node = state, state.Node
	stack, err := state.Render()
	if err != nil {
		r.Log.Debug("cannot render a good state", "sync", r.rollback.to.SyncID, "error", err.Error())
		return nil, nil
	}
	return stack, nil
}

// nameObjects gives a stack the secrets and configs that it had. If the content of an
// object is known, it can be created again; otherwise it must be in Swarm.
func nameObjects(stack *compose.Stack, to *record.GoodState, rendered *compose.Stack) {
	if rendered == nil {
		rendered = &compose.Stack{}
	}
	stack.Waves = rendered.Waves
	for _, object := range to.Secrets {
		i := slices.IndexFunc(rendered.Secrets, func(s compose.Secret) bool { return s.Spec.Name == object.Name && s.Missing == nil })
		if i < 0 {
			stack.ExternalSecrets = append(stack.ExternalSecrets, object.Name)
			continue
		}
		stack.Secrets = append(stack.Secrets, rendered.Secrets[i])
	}
	for _, object := range to.Configs {
		i := slices.IndexFunc(rendered.Configs, func(c compose.Config) bool { return c.Spec.Name == object.Name })
		if i < 0 {
			stack.ExternalConfigs = append(stack.ExternalConfigs, object.Name)
			continue
		}
		stack.Configs = append(stack.Configs, rendered.Configs[i])
	}
}

// foreignNetworks gives the networks that services use and the stack does not create.
func foreignNetworks(stack *compose.Stack) []string {
	foreign := map[string]bool{}
	for _, spec := range stack.Services {
		for _, attachment := range spec.TaskTemplate.Networks {
			if _, own := stack.Networks[attachment.Target]; !own && container.NetworkMode(attachment.Target).IsUserDefined() {
				foreign[attachment.Target] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(foreign))
}

// planRollback compares the good state with the live services. Before the first write it
// refuses the rollback if something that it needs is missing.
func (r *reconcile) planRollback(ctx context.Context) error {
	b, taken := r.rollback, r.sync.Rollback
	live, err := r.Engine.Observe(ctx, b.before)
	if err != nil {
		return environmentError{err}
	}
	if err := unknownServices(live, b, taken.Services); err != nil {
		return err
	}
	scaledDown, err := r.records.ScaledDown()
	if err != nil {
		return fmt.Errorf("recall the cron services that are scaled down: %w", err)
	}
	if scaledDown.Stack != b.before.Name {
		scaledDown.Services = nil
	}
	goal := deploy.RollbackTo(live.LiveServices().ScaledUp(scaledDown.Services), b.before, taken.Services)
	if err := errors.Join(runAgain(goal.Left, taken.Services), gone(live, goal.Stack)); err != nil {
		return err
	}
	plan, err := deploy.Diff(live, goal.Stack)
	if err != nil {
		return err
	}
	r.stack, b.all, b.follow, taken.Left = goal.Stack, goal.Stack, goal.Verify, goal.Left
	for _, name := range goal.Left {
		plan.Warnings = append(plan.Warnings, name+" is not changed: a rollback does not run jobs again")
	}
	plan.Warnings = append(plan.Warnings, r.attempt.Warnings...)
	r.plan, r.uses = plan, newUses(liveSecrets(live), r.stack)
	if r.attempt.Wrote {
		return nil
	}
	if r.sync.Deployment == nil { // by a user: it deploys what was deployed before
		r.sync.Deployment = r.deployment(live)
	}
	r.attempt.PlanDigest = plan.Digest()
	if r.attempt.Plan, err = json.Marshal(plan); err != nil {
		return fmt.Errorf("record plan: %w", err)
	}
	return nil
}

// unknownServices refuses names that are neither in the good state nor running.
func unknownServices(live *deploy.Live, b *rollbackRun, names []string) error {
	var unknown []error
	for _, name := range names {
		_, then := b.before.Services[name]
		_, now := live.Services[name]
		if !then && !now {
			unknown = append(unknown, fault.New(fault.Place{}, "sync #"+fmt.Sprint(b.to.SyncID)+" has: "+listed(slices.Sorted(maps.Keys(b.before.Services))),
				"there is no service %s", name))
		}
	}
	return errors.Join(unknown...)
}

// runAgain refuses to roll back jobs that the request names.
func runAgain(left, names []string) error {
	var refused []error
	for _, name := range left {
		if slices.Contains(names, name) {
			refused = append(refused, fault.New(fault.Place{}, "leave it out; a commit that changes it runs it again",
				"%s runs to its end: a rollback does not run jobs again", name))
		}
	}
	return errors.Join(refused...)
}

// gone refuses a state whose secrets or configs are no longer in Swarm.
func gone(live *deploy.Live, want *compose.Stack) error {
	var missing []error
	add := func(kind deploy.Kind, name string) {
		missing = append(missing, fault.New(fault.Place{}, "create it again, or roll back to another state: `agent history` marks the good ones",
			"the %s %s is gone from Swarm, and its content is not recorded", kind, name))
	}
	for _, name := range want.ExternalSecrets {
		if _, there := live.Secrets[name]; !there {
			add(deploy.Secret, name)
		}
	}
	for _, name := range want.ExternalConfigs {
		if _, there := live.Configs[name]; !there {
			add(deploy.Config, name)
		}
	}
	return errors.Join(missing...)
}

// guardRollback asks whether the database's migrations allow the rollback.
func (r *reconcile) guardRollback(ctx context.Context) error {
	return r.guardMigration(ctx, r.rollback.to)
}

// applyRollback writes the plan. It also records that a rollback has nothing to write.
func (r *reconcile) applyRollback(ctx context.Context) error {
	if err := r.noteForced(); err != nil {
		return err
	}
	if r.plan.Empty() && !r.attempt.Wrote {
		if err := r.noteStart(); err != nil {
			return err
		}
	}
	return r.apply(ctx)
}

// verifyRollback verifies the services and asks the checks of the good state.
func (r *reconcile) verifyRollback(ctx context.Context) error {
	follow := *r.rollback.follow
	follow.Secrets = slices.Concat(follow.Secrets, unknownSecrets(&follow, r.rollback.to))
	r.stack = &follow
	if err := r.converge(ctx); err != nil {
		return err
	}
	if r.questions == nil {
		return nil
	}
	return r.ask(ctx)
}

// unknownSecrets gives the secrets of the services whose values the good state does not
// contain. External secrets are left out, because the agent never knows their values.
func unknownSecrets(stack *compose.Stack, to *record.GoodState) []compose.Secret {
	known := map[string]bool{}
	for _, secret := range stack.Secrets {
		known[secret.Spec.Name] = true
	}
	for _, object := range to.Secrets {
		known[object.Name] = known[object.Name] || object.Key == ""
	}
	var unknown []compose.Secret
	needed, _ := referred(stack)
	for _, object := range union(needed) {
		if !known[object.Name] {
			var secret compose.Secret
			secret.Spec.Name = object.Name
			unknown = append(unknown, secret)
		}
	}
	return unknown
}
