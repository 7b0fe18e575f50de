package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/docker/docker/api/types/container"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/journal"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

func (b *back) enter(record.Stage) {} // the sync stays at the stage of its rollback

func (b *back) keep() { b.a.sync.Rollback.Note(b.a.note) }

func (b *back) entry() audit.Entry {
	entry := journal.SyncEntry(b.a.sync)
	entry.Plan, entry.Revision = b.a.note.PlanDigest, b.a.commit
	entry.Stack = b.a.use.Stack
	entry.Actor, entry.Action, entry.Name = b.actor, audit.Rollback, b.to.StackName
	return entry
}

func (b *back) origin() (by, release string, at time.Time) {
	return b.actor.String(), b.to.Release, b.a.sync.Rollback.Started
}

// load reads the good state: the services that it had, and its files, which have
// config.yml, the checks and the values of secrets. If the files cannot be read, the
// rollback is verified by its services only, and a warning says so.
func (b *back) load(ctx context.Context) error {
	if running := b.a.sync.Stack; running != "" && running != b.to.StackName {
		return fault.New(fault.Place{}, "roll out a commit that brings it back, or remove the stack by hand",
			"the good state of sync #%d is of the stack %s, and the node's stack is %s now", b.to.SyncID, b.to.StackName, running)
	}
	deployed, err := b.deployed()
	if err == nil {
		b.ignored = deployed.Ignored
		b.now, err = b.a.ignore(deployed)
	}
	if err != nil {
		return err
	}
	stack, err := drift.Applied(b.to)
	if err == nil {
		stack, err = b.a.ignore(stack)
	}
	if err != nil {
		return err
	}
	if len(b.to.Networks) > 0 {
		if err := json.Unmarshal(b.to.Networks, &stack.Networks); err != nil {
			return fmt.Errorf("recall the applied networks: %w", err)
		}
	}
	stack.Release, stack.ExternalNetworks = b.to.Release, foreignNetworks(stack)
	b.before, b.a.stack = stack, stack
	files, err := b.a.use.Files.Files(b.to)
	if err == nil && files == nil {
		err = errors.New("an earlier version of the agent recorded it without its files")
	}
	if err == nil {
		options := b.a.use.recorded()
		options.Vault.Settled = b.to.Vault
		b.a.desired, err = desired.Load(ctx, files, options)
	}
	if err != nil {
		b.warnUnchecked(err)
	}
	return nil
}

// deployed gives the stack that is deployed, an empty one if there is none.
func (b *back) deployed() (*compose.Stack, error) {
	if b.a.base.Deployed == nil {
		return &compose.Stack{}, nil
	}
	return drift.Applied(b.a.base.Deployed)
}

func (b *back) decrypt(ctx context.Context) error {
	if b.a.desired == nil {
		return nil
	}
	err := b.a.desired.Decrypt(ctx)
	if fault.CodeOf(err) == fault.CodeVault { // the versions are in Swarm
		b.a.note.Warnings = append(b.a.note.Warnings, "no secret was read from Vault: "+err.Error())
		b.a.desired.WithoutVault()
		err = b.a.desired.Decrypt(ctx)
	}
	if err != nil {
		b.a.wipe()
		b.a.desired = nil
		b.warnUnchecked(err)
	}
	return nil
}

// render renders the files for the contents of secrets and configs, and prepares the
// checks. The rest of the rendered stack is not used: the services are those on record.
func (b *back) render(ctx context.Context) error {
	rendered := &compose.Stack{}
	if state := b.a.desired; state != nil {
		if stack, err := state.Render(ctx); err != nil {
			b.a.use.Log.Debug("cannot render a good state", "sync", b.to.SyncID, "error", err)
		} else {
			rendered = stack
		}
	}
	nameObjects(b.before, b.to, rendered)
	if b.a.desired == nil {
		return nil
	}
	if err := readyChecks(b.a); err != nil {
		b.a.questions, b.a.database.check = nil, nil
		b.warnUnchecked(err)
	}
	return nil
}

// warnUnchecked adds the warning that the checks of a good state cannot be asked.
func (b *back) warnUnchecked(why error) {
	b.a.note.Warnings = append(b.a.note.Warnings, fmt.Sprintf("the checks of sync #%d are not asked, only its services are verified: %s", b.to.SyncID, why))
}

// nameObjects gives a stack the secrets and configs that it had. If the content of an
// object is known, it can be created again; otherwise it must be in Swarm.
func nameObjects(stack *compose.Stack, to *record.GoodState, rendered *compose.Stack) {
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

// plan compares the good state with the live services. Before the first write it refuses
// the rollback if something that it needs is missing.
func (b *back) plan(ctx context.Context, live *deploy.Live) (deploy.Plan, error) {
	a, taken := b.a, b.a.sync.Rollback
	if err := b.refuseOthers(live); err != nil {
		return deploy.Plan{}, err
	}
	live = ownServices(live, b.before)
	b.live = slices.Sorted(maps.Keys(live.Services))
	due, err := dueJobs{b}.names(ctx)
	if err != nil {
		return deploy.Plan{}, err
	}
	if err := b.unknownServices(live, taken.Services); err != nil {
		return deploy.Plan{}, err
	}
	down, err := a.use.Records.ScaledDown()
	if err != nil {
		return deploy.Plan{}, fmt.Errorf("recall the cron services that are scaled down: %w", err)
	}
	if down.Stack != b.before.Name {
		down.Services = nil
	}
	goal := deploy.RollbackTo(live.Services.ScaledUp(down.Services), b.before, b.now, taken.Services)
	b.keepIgnored(goal.Kept)
	if err := errors.Join(runAgain(goal.Left, taken.Services), gone(live, goal.Stack)); err != nil {
		return deploy.Plan{}, err
	}
	if config := a.config(); config != nil {
		goal.Stack.WarnMissing = config.Images.Missing == manifests.MissingWarn
	}
	written := deploy.Leave(goal.Stack, live.Services, a.sync.Leaves)
	plan, err := deploy.Diff(live, written)
	if err != nil {
		return plan, err
	}
	if err := a.refuseMissing(ctx, &plan, deploy.Resolution{Stack: written}, true); err != nil {
		return plan, err
	}
	a.stack, b.all, b.follow, taken.Left = written, goal.Stack, goal.Verify, goal.Left
	for _, name := range goal.Left {
		if !slices.Contains(due, name) {
			plan.Warnings = append(plan.Warnings, name+" is not changed: a rollback does not run jobs again")
		}
	}
	for _, name := range due {
		if !slices.Contains(a.note.Warnings, stopText(name)) {
			plan.Warnings = append(plan.Warnings, stopText(name))
		}
	}
	plan.Warnings = append(plan.Warnings, a.note.Warnings...)
	if !a.note.Wrote && a.sync.Deployment == nil { // by a user: it deploys what was deployed before
		a.sync.Deployment = deployment(a, live)
	}
	return plan, nil
}

// keepIgnored has the services that stay as they are ignore what the deployed state does.
func (b *back) keepIgnored(names []string) {
	for _, name := range names {
		delete(b.a.ignored, name)
		if rules := b.ignored[name]; len(rules) > 0 {
			b.a.ignored[name] = rules
		}
	}
}

// unknownServices refuses names that are neither in the good state nor running.
func (b *back) unknownServices(live *deploy.Live, names []string) error {
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

// gate asks whether the database's migrations allow the rollback.
func (b *back) gate() stage {
	return stage{record.StageGuard, func(ctx context.Context) error { return b.a.database.guard(ctx, b.to) }}
}

// ready notes what is about to be written. It also notes that a rollback has nothing to
// write.
func (b *back) ready() error {
	a := b.a
	if err := a.database.noteForced(); err != nil {
		return err
	}
	if a.plan.Empty() && a.note.Wrote {
		return nil
	}
	detail := "to " + report.Target(a.sync.Rollback) + ": " + report.PlanIntent(a.plan.Recorded()) + report.Because(a.sync.Rollback)
	return a.journal.Start(entries{a}.startDetail(detail))
}

// wrote tells that the good state is being deployed. The rest is published at the end, with
// the outcome of the sync.
func (b *back) wrote() error { return b.a.use.Deploys.Deploy(b.a.sync) }

// await lets every wave begin: a rollback runs no job, and a failed service must not delay
// it.
func (b *back) await(context.Context, deploy.Wave) error { return nil }

// verify verifies the services, asks the checks of the good state, and compares the services
// with what was applied.
func (b *back) verify(ctx context.Context) error {
	a, follow := b.a, *b.follow
	follow.Secrets = slices.Concat(follow.Secrets, unknownSecrets(&follow, b.to))
	a.stack = &follow
	observed, err := follower{a}.converge(ctx)
	if err != nil {
		return err
	}
	if a.questions != nil {
		observed = deploy.Observed{} // they may change meanwhile
		a.sync.ChecksDigest = a.questions.digest
		if err := a.questions.ask(ctx); err != nil {
			return err
		}
	}
	return follower{a}.compare(ctx, b.all, observed)
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
