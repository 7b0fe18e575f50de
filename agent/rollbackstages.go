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

// loadBack reads the good state: what ran then, and, from the files of then, the
// config.yml, checks and values of secrets. Where those cannot be had, the services
// are what it is proven by, and a warning says so.
func (r *reconcile) loadBack(context.Context) error {
	b := r.back
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
		r.blind(err)
	}
	nameObjects(stack, b.to, rendered)
	b.before, r.stack = stack, stack
	if r.node == nil {
		return nil
	}
	if err := r.readyChecks(); err != nil {
		r.questions, r.migrations = nil, nil
		r.blind(err)
	}
	return nil
}

// blind says that the checks of a good state cannot be asked.
func (r *reconcile) blind(why error) {
	r.attempt.Warnings = append(r.attempt.Warnings, fmt.Sprintf("the checks of sync #%d are not asked, its services are followed alone: %s", r.back.to.SyncID, why))
}

// openState reads the files of the good state, and renders them for the values of
// secrets and configs. What else they would come to does not matter.
func (r *reconcile) openState() (*compose.Stack, error) {
	files, err := r.Store.Files(r.back.to)
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
		r.Log.Debug("cannot render a good state", "sync", r.back.to.SyncID, "error", err.Error())
		return nil, nil
	}
	return stack, nil
}

// nameObjects gives a stack the secrets and configs that it had. Those whose
// content is known can be made again, the others have to be in Swarm.
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

// foreignNetworks are those that services use and the stack does not make.
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

// planBack compares what ran then with what runs, and refuses where something that
// it needs is gone, before anything is touched.
func (r *reconcile) planBack(ctx context.Context) error {
	b, taken := r.back, r.sync.Rollback
	live, err := r.Engine.Observe(ctx, b.before)
	if err != nil {
		return environmentError{err}
	}
	if err := unknownServices(live, b, taken.Services); err != nil {
		return err
	}
	asleep, err := r.records.ScaledDown()
	if err != nil {
		return fmt.Errorf("recall the cron services that are scaled down: %w", err)
	}
	if asleep.Stack != b.before.Name {
		asleep.Services = nil
	}
	backwards := deploy.RollbackTo(live.ScaledUp(asleep.Services), b.before, taken.Services)
	if err := errors.Join(runAgain(backwards.Left, taken.Services), gone(live, backwards.Stack)); err != nil {
		return err
	}
	plan, err := deploy.Diff(live, backwards.Stack)
	if err != nil {
		return err
	}
	r.stack, b.all, b.follow, taken.Left = backwards.Stack, backwards.Stack, backwards.Verify, backwards.Left
	for _, name := range backwards.Left {
		plan.Warnings = append(plan.Warnings, name+" is left as it is: going back runs no job again")
	}
	plan.Warnings = append(plan.Warnings, r.attempt.Warnings...)
	r.plan, r.uses = plan, newUses(liveSecrets(live), r.stack)
	if r.attempt.Wrote {
		return nil
	}
	if r.sync.Deployment == nil { // by hand: what it brings is what was
		r.sync.Deployment = r.deployment(live)
	}
	r.attempt.PlanDigest = plan.Digest()
	if r.attempt.Plan, err = json.Marshal(plan); err != nil {
		return fmt.Errorf("record plan: %w", err)
	}
	return nil
}

// unknownServices refuses names that are neither in the good state nor running.
func unknownServices(live *deploy.Live, b *back, names []string) error {
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

// runAgain refuses to take back jobs that somebody has named.
func runAgain(left, names []string) error {
	var refused []error
	for _, name := range left {
		if slices.Contains(names, name) {
			refused = append(refused, fault.New(fault.Place{}, "leave it out; a commit that changes it runs it again",
				"%s runs to its end: going back runs no job again", name))
		}
	}
	return errors.Join(refused...)
}

// gone refuses a state whose secrets or configs are no longer in Swarm.
func gone(live *deploy.Live, want *compose.Stack) error {
	var missing []error
	add := func(kind deploy.Kind, name string) {
		missing = append(missing, fault.New(fault.Place{}, "make it again, or go back to another state: `agent history` marks the good ones",
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

// guardBack asks whether the database lets the node go back.
func (r *reconcile) guardBack(ctx context.Context) error {
	return r.guardMigration(ctx, r.back.to)
}

// applyBack writes the plan. That a rollback has nothing to write is on record, too.
func (r *reconcile) applyBack(ctx context.Context) error {
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

// verifyBack follows the services and asks the checks of the good state.
func (r *reconcile) verifyBack(ctx context.Context) error {
	follow := *r.back.follow
	follow.Secrets = slices.Concat(follow.Secrets, unknownSecrets(&follow, r.back.to))
	r.stack = &follow
	if err := r.converge(ctx); err != nil {
		return err
	}
	if r.questions == nil {
		return nil
	}
	return r.ask(ctx)
}

// unknownSecrets are those that services have and whose values a good state does not
// tell. External ones are nobody's to know.
func unknownSecrets(stack *compose.Stack, to *record.GoodState) []compose.Secret {
	told := map[string]bool{}
	for _, secret := range stack.Secrets {
		told[secret.Spec.Name] = true
	}
	for _, object := range to.Secrets {
		told[object.Name] = told[object.Name] || object.Key == ""
	}
	var unknown []compose.Secret
	needed, _ := referred(stack)
	for _, object := range union(needed) {
		if !told[object.Name] {
			var secret compose.Secret
			secret.Spec.Name = object.Name
			unknown = append(unknown, secret)
		}
	}
	return unknown
}
