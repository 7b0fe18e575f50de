package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
)

// writesAtOnce is how many writes of one phase run at once.
const writesAtOnce = 8

// Metadata tells who deployed what, by label names without the agent's prefix. It is
// written to services that are written for another reason.
type Metadata map[string]string

// Event reports that a step begins or has ended.
type Event struct {
	Step Step
	Done bool
	Err  error // of a step that failed
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
	logins, err := e.readLogins()
	if err != nil {
		return err
	}
	progress := opts.Progress
	if progress == nil {
		progress = func(Event) error { return nil }
	}
	run := newApplication(e, plan, want, opts.Metadata)
	run.logins, run.wait = logins, opts.Wait
	if run.wait == nil {
		run.wait = e.await(plan)
	}
	scaledDown := plan.ScaledDown()
	maps.Copy(scaledDown, opts.ScaledDown)
	run.scaledDown = keys(scaledDown)
	if err := run.steps(ctx, plan, progress); err != nil {
		if ctx.Err() != nil {
			return err // the agent stops, and continues after its next start
		}
		return errors.Join(err, e.ScaleUp(ctx, want.Name, scaledDown, progress))
	}
	return nil
}

// steps writes the steps, phase after phase. It waits until cron services have stopped,
// and before each wave.
func (a *application) steps(ctx context.Context, plan Plan, progress func(Event) error) error {
	waves, stopped := plan.Waves(a.want), false
	for begin := 0; begin < len(plan.Steps); {
		if !stopped && plan.Steps[begin].phase > phaseCronDown {
			if err := a.cronStops(ctx); err != nil {
				return err
			}
			stopped = true
		}
		end := begin
		for end < len(plan.Steps) && plan.Steps[end].phase == plan.Steps[begin].phase && plan.Steps[end].Wave == plan.Steps[begin].Wave {
			end++
		}
		if len(waves) > 0 && waves[0].Before == begin {
			if err := a.wait(ctx, waves[0]); err != nil {
				return err
			}
			waves = waves[1:]
		}
		if err := a.together(ctx, plan.Steps[begin:end], progress); err != nil {
			return err
		}
		begin = end
	}
	return nil
}

// valuesKnown refuses a plan before its first write if it creates a secret without a
// value, because the stack was rendered without keys.
func valuesKnown(plan Plan, want *compose.Stack) error {
	var unknown []error
	for _, step := range plan.Steps {
		if step.Kind != Secret {
			continue
		}
		for _, secret := range want.Secrets {
			if secret.Spec.Name == step.Name && !secret.Value.Known() && secret.Spec.Driver == nil {
				unknown = append(unknown, fault.New(fault.Place{}, "give the agent the key that decrypts it",
					"create secret %s: its value is not known", step.Name))
			}
		}
	}
	return errors.Join(unknown...)
}

// application is one run of Apply.
type application struct {
	engine     *Engine
	live       *LiveServices
	want       *compose.Stack
	logins     *keyring
	wait       func(context.Context, Wave) error
	metadata   map[string]string // by full label names
	scaledDown []string          // cron services that are scaled down, sorted

	mu      sync.Mutex
	secrets map[string]string // IDs by name
	configs map[string]string
}

func newApplication(e *Engine, plan Plan, want *compose.Stack, meta Metadata) *application {
	run := &application{
		engine: e, live: plan.live.LiveServices(), want: want,
		metadata: map[string]string{}, secrets: map[string]string{}, configs: map[string]string{},
	}
	for name, value := range meta {
		if label := compose.LabelPrefix + name; metadataLabel(label) {
			run.metadata[label] = value
		}
	}
	for _, service := range plan.live.Services {
		if container := service.Spec.TaskTemplate.ContainerSpec; container != nil {
			for _, reference := range container.Secrets {
				run.secrets[reference.SecretName] = reference.SecretID
			}
			for _, reference := range container.Configs {
				run.configs[reference.ConfigName] = reference.ConfigID
			}
		}
	}
	for name, secret := range plan.live.Secrets {
		run.secrets[name] = secret.ID
	}
	for name, config := range plan.live.Configs {
		run.configs[name] = config.ID
	}
	return run
}

// together writes the steps of one phase, several at once. After a failure no further
// step begins, and the running steps are finished.
func (a *application) together(ctx context.Context, steps []Step, progress func(Event) error) error {
	var (
		group sync.WaitGroup
		mu    sync.Mutex // guards the variables below; also calls progress one at a time
		errs  = make([]error, len(steps))
		halt  error // of progress
		stop  bool
	)
	room := make(chan struct{}, writesAtOnce)
	for i, step := range steps {
		room <- struct{}{}
		mu.Lock()
		stopped := stop || ctx.Err() != nil
		if !stopped {
			halt = progress(Event{Step: step})
			stopped = halt != nil
		}
		mu.Unlock()
		if stopped {
			break
		}
		group.Add(1)
		go func() {
			defer group.Done()
			defer func() { <-room }()
			err := a.take(ctx, step)
			mu.Lock()
			defer mu.Unlock()
			errs[i] = err
			halt = errors.Join(halt, progress(Event{Step: step, Done: true, Err: err}))
			stop = stop || err != nil || halt != nil
		}()
	}
	group.Wait()
	if err := errors.Join(append(errs, halt)...); err != nil {
		return err
	}
	return ctx.Err()
}

// take writes one step.
func (a *application) take(ctx context.Context, step Step) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	var err error
	switch step.Kind {
	case Network:
		err = a.createNetwork(ctx, step.Name)
	case Secret:
		err = a.createSecret(ctx, step.Name)
	case Config:
		err = a.createConfig(ctx, step.Name)
	case Service:
		err = a.takeService(ctx, step)
	}
	if err != nil {
		return a.engine.explain(fmt.Sprintf("%s %s %s", step.Action, step.Kind, step.Name), err)
	}
	return nil
}

func (a *application) takeService(ctx context.Context, step Step) error {
	switch step.Action {
	case Create:
		return a.createService(ctx, step.Name)
	case Update:
		return a.updateService(ctx, step)
	case ScaleDown:
		return a.scaleDown(ctx, step.Name)
	case ScaleUp: // not part of a plan
	case Remove:
		return a.removeService(ctx, step.Name)
	case Replace:
		if err := a.removeService(ctx, step.Name); err != nil {
			return err
		}
		return a.createService(ctx, step.Name)
	}
	return fmt.Errorf("unknown action %q", step.Action)
}

// createNetwork treats the answer that the network exists as success if it belongs to the
// stack: an earlier attempt may have created it.
func (a *application) createNetwork(ctx context.Context, name string) error {
	_, err := a.engine.api.NetworkCreate(ctx, name, a.want.Networks[name])
	if err == nil || !errdefs.IsConflict(err) {
		return err
	}
	existing, inspectErr := a.engine.api.NetworkInspect(ctx, name, network.InspectOptions{Scope: "swarm"})
	if inspectErr != nil {
		return errors.Join(err, inspectErr)
	}
	return conflict(Network, name, existing.Labels, a.want, true)
}

func (a *application) createSecret(ctx context.Context, name string) error {
	for _, secret := range a.want.Secrets {
		if secret.Spec.Name != name {
			continue
		}
		spec := secret.Spec
		spec.Data = secret.Value.Reveal()
		created, err := a.engine.api.SecretCreate(ctx, spec)
		if err != nil {
			return withhold(err, spec.Data)
		}
		a.remember(a.secrets, name, created.ID)
		return nil
	}
	return errors.New("the stack does not have this secret")
}

func (a *application) createConfig(ctx context.Context, name string) error {
	for _, config := range a.want.Configs {
		if config.Spec.Name != name {
			continue
		}
		created, err := a.engine.api.ConfigCreate(ctx, config.Spec)
		if err != nil {
			return err
		}
		a.remember(a.configs, name, created.ID)
		return nil
	}
	return errors.New("the stack does not have this config")
}

func (a *application) remember(ids map[string]string, name, id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	ids[name] = id
}

// spec gives the wanted spec of a service to write over the live one, with the IDs of
// secrets and configs and the current metadata. It does not change the wanted stack.
func (a *application) spec(name string, live swarm.ServiceSpec, networkName func(string) string) (swarm.ServiceSpec, error) {
	spec := settle(a.want.Services[name], live, networkName)
	spec.Labels = maps.Clone(spec.Labels)
	maps.Copy(spec.Labels, a.metadata)
	container := spec.TaskTemplate.ContainerSpec
	if container == nil {
		return spec, nil
	}
	secrets := make([]*swarm.SecretReference, 0, len(container.Secrets))
	for _, reference := range container.Secrets {
		filled := *reference
		if filled.SecretID = a.secrets[filled.SecretName]; filled.SecretID == "" {
			return spec, fmt.Errorf("secret %s does not exist", filled.SecretName)
		}
		secrets = append(secrets, &filled)
	}
	configs := make([]*swarm.ConfigReference, 0, len(container.Configs))
	for _, reference := range container.Configs {
		filled := *reference
		if filled.ConfigID = a.configs[filled.ConfigName]; filled.ConfigID == "" {
			return spec, fmt.Errorf("config %s does not exist", filled.ConfigName)
		}
		configs = append(configs, &filled)
	}
	container.Secrets, container.Configs = secrets, configs
	if container.Privileges != nil {
		privileges := *container.Privileges
		privileges.CredentialSpec = pointedAt(privileges.CredentialSpec, configs, func(c *swarm.ConfigReference) string { return c.ConfigID })
		container.Privileges = &privileges
	}
	return spec, nil
}
