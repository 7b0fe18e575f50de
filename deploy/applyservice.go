package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

func (a *application) createService(ctx context.Context, name string) error {
	spec, err := a.spec(name, swarm.ServiceSpec{}, a.live.networkName)
	if err != nil {
		return err
	}
	login, err := a.login(ctx, spec)
	if err != nil {
		return err
	}
	_, err = a.engine.api.ServiceCreate(ctx, spec, swarm.ServiceCreateOptions{EncodedRegistryAuth: login.header})
	if err = login.withhold(err); err == nil || !errdefs.IsConflict(err) {
		return err
	}
	if again := a.writeFresh(ctx, name); again != nil {
		return errors.Join(err, again)
	}
	return nil
}

// updateService writes over the service as the plan saw it. If another process wrote it
// since, updateService reads it again and tries once more.
func (a *application) updateService(ctx context.Context, step Step) error {
	if step.phase == phaseCronBack { // scaled down since the plan was made
		return a.writeFresh(ctx, step.Name)
	}
	err := a.write(ctx, a.live.Services[step.Name], a.live.networkName)
	if outOfSequence(err) {
		return a.writeFresh(ctx, step.Name)
	}
	return err
}

func (a *application) writeFresh(ctx context.Context, name string) error {
	existing, networkName, err := a.engine.readService(ctx, name)
	if err != nil {
		return err
	}
	return a.write(ctx, existing, networkName)
}

// write updates a service if it differs from the wanted spec: an update without a
// difference overwrites Swarm's previous spec and runs jobs again.
func (a *application) write(ctx context.Context, existing swarm.Service, networkName func(string) string) error {
	name := existing.Spec.Name
	if err := conflict(Service, name, existing.Spec.Labels, a.want, true); err != nil {
		return err
	}
	if len(serviceChanges(existing.Spec, a.want.Services[name], networkName)) == 0 {
		return nil
	}
	spec, err := a.spec(name, existing.Spec, networkName)
	if err != nil {
		return err
	}
	login, err := a.login(ctx, spec)
	if err != nil {
		return err
	}
	_, err = a.engine.api.ServiceUpdate(ctx, existing.ID, existing.Version, spec, swarm.ServiceUpdateOptions{EncodedRegistryAuth: login.header})
	return login.withhold(err)
}

// login gives the credentials with which the nodes pull the image of a service. Without
// credentials, the engine keeps those that it has.
func (a *application) login(ctx context.Context, spec swarm.ServiceSpec) (login, error) {
	if spec.TaskTemplate.ContainerSpec == nil {
		return login{}, nil
	}
	return a.logins.of(ctx, registryOf(spec.TaskTemplate.ContainerSpec.Image))
}

func (a *application) scaleDown(ctx context.Context, name string) error {
	existing := a.live.Services[name]
	for retried := false; ; retried = true {
		_, err := a.engine.api.ServiceUpdate(ctx, existing.ID, existing.Version, scaledTo(existing.Spec, 0), swarm.ServiceUpdateOptions{})
		if !outOfSequence(err) || retried {
			return err
		}
		if existing, _, err = a.engine.readService(ctx, name); err != nil {
			return err
		}
	}
}

// removeService removes a service by the ID that the plan saw, if that service had the
// stack's label.
func (a *application) removeService(ctx context.Context, name string) error {
	existing, ok := a.live.Services[name]
	if !ok || existing.Spec.Labels[compose.LabelStack] != a.want.Name {
		return fmt.Errorf("it does not belong to stack %s", a.want.Name)
	}
	err := a.engine.api.ServiceRemove(ctx, existing.ID)
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// readService reads one service without the engine's defaults, and gives the names of its
// networks, which may be newer than the plan.
func (e *Engine) readService(ctx context.Context, name string) (swarm.Service, func(string) string, error) {
	services, err := e.listServices(ctx, nameFilter([]string{name}))
	if err != nil {
		return swarm.Service{}, nil, err
	}
	service, ok := services[name]
	if !ok {
		return swarm.Service{}, nil, errGone
	}
	fresh := &LiveServices{}
	fresh.networkNames, err = e.namesOfNetworks(ctx, map[string]swarm.Service{name: service})
	return service, fresh.networkName, err
}

// errGone says that the service does not exist.
var errGone = errors.New("the service was removed")

func outOfSequence(err error) bool {
	return err != nil && strings.Contains(err.Error(), "update out of sequence")
}
