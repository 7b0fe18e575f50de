package deploy

import (
	"context"
	"slices"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/apart"
)

// Ahead is a reading of a stack's live objects that has begun with the stack's name alone, while
// the stack is rendered.
type Ahead struct {
	engine   *Engine
	stop     context.CancelFunc
	services foundBy[swarm.Service]
	secrets  foundBy[swarm.Secret]
	configs  foundBy[swarm.Config]
	networks func() (answered[network.Summary], error)
}

// answered are objects by name, with the questions that found them.
type answered[T any] struct {
	objects map[string]T
	facts   Facts
}

// Ahead begins to read what Observe reads. Stop must be called.
func (e *Engine) Ahead(ctx context.Context, stackName string) *Ahead {
	ctx, stop := context.WithCancel(ctx)
	return &Ahead{
		engine: e, stop: stop,
		services: ofStack(ctx, stackName, e.reader.services),
		secrets:  ofStack(ctx, stackName, e.reader.secrets),
		configs:  ofStack(ctx, stackName, e.reader.configs),
		networks: apart.Begin(func() (all answered[network.Summary], err error) {
			all.objects, err = e.reader.notedNetworks(ctx, &all.facts)
			return all, err
		}),
	}
}

// Stop ends the reading, and waits until it has ended.
func (a *Ahead) Stop() {
	a.stop()
	_, _ = a.services.labelled()
	_, _ = a.secrets.labelled()
	_, _ = a.configs.labelled()
	_, _ = a.networks()
}

// Observe gives everything that a plan for the stack needs, once. The stack has the name that the reading
// began with.
func (a *Ahead) Observe(ctx context.Context, stack *compose.Stack) (*Live, error) {
	secrets, configs := slices.Clone(stack.ExternalSecrets), slices.Clone(stack.ExternalConfigs)
	for _, secret := range stack.Secrets {
		secrets = append(secrets, secret.Spec.Name)
	}
	for _, config := range stack.Configs {
		configs = append(configs, config.Spec.Name)
	}
	defer context.AfterFunc(ctx, a.stop)()
	live := &Live{}
	var facts [4]Facts
	reads := []func() error{
		func() (err error) {
			live.Services, facts[0], err = a.services.all(ctx, keys(stack.Services))
			return err
		},
		func() error {
			found, err := a.networks()
			live.Networks, facts[1] = found.objects, found.facts
			return err
		},
		func() (err error) { live.Secrets, facts[2], err = a.secrets.all(ctx, secrets); return err },
		func() (err error) { live.Configs, facts[3], err = a.configs.all(ctx, configs); return err },
	}
	errs := make([]error, len(reads))
	inParallel(len(reads), len(reads), func(int) bool { return true }, func(i int) { errs[i] = reads[i]() })
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return nil, errs[i]
	}
	live.facts = slices.Concat(facts[:]...)
	if err := a.engine.reader.nameNetworks(ctx, live.Services); err != nil {
		return nil, err
	}
	live.APIVersion = a.engine.host.ClientVersion()
	return live, nil
}

// foundBy are the objects of a stack of one kind.
type foundBy[T any] struct {
	labelled func() (answered[T], error) // waits for those with the stack's label
	read     lister[T]
}

// ofStack begins to read the objects with the stack's label.
func ofStack[T any](ctx context.Context, stack string, read lister[T]) foundBy[T] {
	return foundBy[T]{read: read, labelled: apart.Begin(func() (found answered[T], err error) {
		found.objects, err = heardBy(&found.facts, read)(ctx, stackLabel(stack))
		return found, err
	})}
}

// all gives these objects, and other wanted objects by name: those may have the label of another
// stack.
func (f foundBy[T]) all(ctx context.Context, wanted []string) (map[string]T, Facts, error) {
	found, err := f.labelled()
	if err != nil {
		return nil, nil, err
	}
	missing := slices.DeleteFunc(wanted, func(name string) bool { _, ok := found.objects[name]; return ok })
	if len(missing) == 0 {
		return found.objects, found.facts, nil
	}
	slices.Sort(missing)
	others, err := heardBy(&found.facts, f.read)(ctx, nameFilter(missing))
	if err != nil {
		return nil, nil, err
	}
	for _, name := range missing {
		if one, ok := others[name]; ok {
			found.objects[name] = one
		}
	}
	return found.objects, found.facts, nil
}
