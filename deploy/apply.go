package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
)

// writesAtOnce is how many writes of one phase run at once.
const writesAtOnce = 8

// Metadata tells who deployed what, by label names without the agent's prefix. It is
// written to services that are written for another reason.
type Metadata map[string]string

// Event reports that a step begins, waits or has ended.
type Event struct {
	Step  Step
	Done  bool
	Err   error  // of a step that failed
	Waits string // what a step that has begun waits for; "" for nothing
}

// ApplyOptions are the options of Apply.
type ApplyOptions struct {
	Metadata Metadata
	// Progress, if set, is called when a step begins and when it has ended. Its error is a
	// failure: no further step begins.
	Progress func(Event) error
	// ScaledDown are the cron services that an earlier, interrupted Apply scaled down:
	// the replicas that they had, by full name. After a failure Apply scales them up
	// again, like those that it scales down itself.
	ScaledDown map[string]uint64
	// Wait, if set, waits before a wave begins. Its error is a failure: the wave does not
	// begin. If it is nil, Apply waits as Verify does.
	Wait func(context.Context, Wave) error
}

// Apply writes a plan, phase after phase. It may be stopped at any point: a new plan then
// has the missing steps. After a failure it scales the cron services up again that were
// scaled down, unless ctx has ended. Want must be the stack that the plan was made for,
// with its secret values.
func (e *Engine) Apply(ctx context.Context, plan Plan, want *compose.Stack, opts ApplyOptions) error {
	if plan.Empty() {
		return nil
	}
	if plan.live == nil {
		return errors.New("apply plan: Diff did not make it")
	}
	if err := valuesKnown(plan, want); err != nil {
		return err
	}
	logins, err := e.registries.readLogins()
	if err != nil {
		return err
	}
	if opts.Progress == nil {
		opts.Progress = func(Event) error { return nil }
	}
	if opts.Wait == nil {
		opts.Wait = verifyBefore(e, plan)
	}
	scaledDown := plan.ScaledDown()
	maps.Copy(scaledDown, opts.ScaledDown)
	run := &application{
		engine: e, logins: logins, live: plan.live.Services, want: want, options: opts,
		scaledDown: keys(scaledDown), ids: idsOf(plan.live),
	}
	if err := run.steps(ctx, plan); err != nil {
		if ctx.Err() != nil {
			return err // the agent stops, and continues after its next start
		}
		return errors.Join(err, e.ScaleUp(ctx, want.Name, scaledDown, opts.Progress))
	}
	return nil
}

// valuesKnown refuses a plan before its first write if it creates a secret without a
// value, because the stack was rendered without keys.
func valuesKnown(plan Plan, want *compose.Stack) error {
	var unknown []error
	for _, secret := range want.Secrets {
		created := slices.ContainsFunc(plan.Steps, func(s Step) bool { return s.Kind == Secret && s.Name == secret.Spec.Name })
		if created && !secret.Value.Known() && secret.Spec.Driver == nil {
			unknown = append(unknown, fault.New(fault.Place{}, "give the agent the key that decrypts it",
				"create secret %s: its value is not known", secret.Spec.Name))
		}
	}
	return errors.Join(unknown...)
}

// application is one run of Apply.
type application struct {
	engine     *Engine
	logins     *keyring
	live       LiveServices
	want       *compose.Stack
	options    ApplyOptions
	scaledDown []string // cron services that are scaled down, sorted

	mu  sync.Mutex
	ids map[object]string // of secrets and configs
}

// idsOf gives the IDs of the live secrets and configs.
func idsOf(live *Live) map[object]string {
	ids := map[object]string{}
	for _, service := range live.Services {
		for _, one := range references(service.Spec) {
			ids[object{one.kind, one.name}] = one.id
		}
	}
	for name, secret := range live.Secrets {
		ids[object{Secret, name}] = secret.ID
	}
	for name, config := range live.Configs {
		ids[object{Config, name}] = config.ID
	}
	return ids
}

// steps writes the steps, phase after phase. It waits until cron services have stopped,
// and before each wave.
func (a *application) steps(ctx context.Context, plan Plan) error {
	waves, stopped := plan.Waves(a.want), false
	for begin := 0; begin < len(plan.Steps); {
		first := plan.Steps[begin]
		if !stopped && first.phase > phaseCronDown {
			if err := a.cronStops(ctx); err != nil {
				return err
			}
			stopped = true
		}
		end := begin
		for end < len(plan.Steps) && first.beside(plan.Steps[end]) {
			end++
		}
		if len(waves) > 0 && waves[0].Before == begin {
			if err := a.options.Wait(ctx, waves[0]); err != nil {
				return err
			}
			waves = waves[1:]
		}
		if err := a.together(ctx, plan.Steps[begin:end]); err != nil {
			return err
		}
		begin = end
	}
	return nil
}

// together writes the steps of one phase, several at once. After a failure no further
// step begins, and the running steps are finished.
func (a *application) together(ctx context.Context, steps []Step) error {
	var (
		mu   sync.Mutex // guards the variables below; also calls progress one at a time
		errs = make([]error, len(steps))
		halt error // of progress
		stop bool
	)
	begin := func(i int) bool {
		mu.Lock()
		defer mu.Unlock()
		if stop || ctx.Err() != nil {
			return false
		}
		halt = a.options.Progress(Event{Step: steps[i]})
		stop = halt != nil
		return !stop
	}
	tell := func(event Event) error {
		mu.Lock()
		defer mu.Unlock()
		return a.options.Progress(event)
	}
	inParallel(len(steps), writesAtOnce, begin, func(i int) {
		err := a.take(ctx, steps[i], tell)
		mu.Lock()
		defer mu.Unlock()
		errs[i] = err
		halt = errors.Join(halt, a.options.Progress(Event{Step: steps[i], Done: true, Err: err}))
		stop = stop || err != nil || halt != nil
	})
	if err := errors.Join(append(errs, halt)...); err != nil {
		return err
	}
	return ctx.Err()
}

// inParallel calls do with the numbers below n that begin admits, at most limit at once.
// It calls begin in order, each time when there is room for do.
func inParallel(n, limit int, begin func(i int) bool, do func(i int)) {
	var group sync.WaitGroup
	room := make(chan struct{}, limit)
	for i := range n {
		room <- struct{}{}
		if !begin(i) {
			<-room
			continue
		}
		group.Go(func() {
			defer func() { <-room }()
			do(i)
		})
	}
	group.Wait()
}

// take writes one step. It waits for the networks of a removed stack, and for ports that other
// services have given up.
func (a *application) take(ctx context.Context, step Step, tell func(Event) error) error {
	err := a.afterRelease(ctx, step, a.try(ctx, step))
	if name := a.oldNetwork(err); name != "" {
		err = a.afterOldNetwork(ctx, step, name, tell)
	}
	return a.engine.address.explain(fmt.Sprintf("%s %s %s", step.Action, step.Kind, step.Name), err)
}

// try writes one step, once.
func (a *application) try(ctx context.Context, step Step) error {
	if step.Action == Replace {
		return a.replace(ctx, step)
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	switch step.Kind {
	case Network:
		_, err := a.createNetwork(ctx, step.Name)
		return err
	case Secret:
		return a.createSecret(ctx, step.Name)
	case Config:
		return a.createConfig(ctx, step.Name)
	case Service:
		return a.takeService(ctx, step)
	}
	return fmt.Errorf("unknown kind %q", step.Kind)
}

func (a *application) createSecret(ctx context.Context, name string) error {
	for _, secret := range a.want.Secrets {
		if secret.Spec.Name != name {
			continue
		}
		spec := secret.Spec
		spec.Data = secret.Value.Reveal()
		created, err := a.engine.swarm.SecretCreate(ctx, spec)
		return a.remember(object{Secret, name}, created.ID, withhold(err, spec.Data))
	}
	return errors.New("the stack does not have this secret")
}

func (a *application) createConfig(ctx context.Context, name string) error {
	for _, config := range a.want.Configs {
		if config.Spec.Name != name {
			continue
		}
		created, err := a.engine.swarm.ConfigCreate(ctx, config.Spec)
		return a.remember(object{Config, name}, created.ID, err)
	}
	return errors.New("the stack does not have this config")
}

// remember notes the ID of a created object, or gives the error of its creation.
func (a *application) remember(created object, id string, err error) error {
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ids[created] = id
	return nil
}
