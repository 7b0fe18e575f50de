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

func (a *application) takeService(ctx context.Context, step Step) error {
	switch step.Action {
	case Create:
		return a.createService(ctx, step.Name)
	case Update:
		return a.updateService(ctx, step)
	case ScaleDown:
		return a.scaleDown(ctx, step.Name)
	case Remove:
		return a.removeService(ctx, step.Name)
	case Replace, ScaleUp: // two steps; not part of a plan
	}
	return fmt.Errorf("unknown action %q", step.Action)
}

// createService makes a service; one that is replaced with the values that the stack ignores.
func (a *application) createService(ctx context.Context, name string) error {
	spec, login, err := a.spec(ctx, keep(a.want, name, a.live[name].Spec), swarm.ServiceSpec{})
	if err != nil {
		return err
	}
	_, err = a.engine.swarm.ServiceCreate(ctx, spec, swarm.ServiceCreateOptions{EncodedRegistryAuth: login.header})
	if err = login.withhold(err); err == nil || !errdefs.IsConflict(err) {
		return err
	}
	if again := a.writeFresh(ctx, name); again != nil {
		return errors.Join(err, again)
	}
	return nil
}

// updateService writes over the service as the plan saw it.
func (a *application) updateService(ctx context.Context, step Step) error {
	if step.phase == phaseCronBack { // scaled down since the plan was made
		return a.writeFresh(ctx, step.Name)
	}
	return inSequence(ctx, a.engine.reader, a.live[step.Name], a.write)
}

func (a *application) writeFresh(ctx context.Context, name string) error {
	existing, err := a.engine.reader.service(ctx, name)
	if err != nil {
		return err
	}
	return inSequence(ctx, a.engine.reader, existing, a.write)
}

// sequenceTries is how often a service is written that changes while it is read: the engine
// itself writes a new service, more than once, to assign its addresses.
const sequenceTries = 5

// inSequence writes a service. If another process, or the engine, wrote it since it was read, it
// is read again.
func inSequence(ctx context.Context, from *reader, existing swarm.Service, write func(context.Context, swarm.Service) error) error {
	for tried := 1; ; tried++ {
		err := write(ctx, existing)
		if !outOfSequence(err) || tried == sequenceTries {
			return err
		}
		if existing, err = from.service(ctx, existing.Spec.Name); err != nil {
			return err
		}
	}
}

// write updates a service if it differs from the wanted spec: an update without a
// difference overwrites Swarm's previous spec and runs jobs again.
func (a *application) write(ctx context.Context, existing swarm.Service) error {
	name := existing.Spec.Name
	if err := conflict(object{Service, name}, existing.Spec.Labels, a.want); err != nil {
		return err
	}
	planned := a.live[name].ID == existing.ID && a.live[name].Version == existing.Version // and found to differ
	if !planned && len(serviceChanges(existing.Spec, keep(a.want, name, existing.Spec))) == 0 {
		return nil
	}
	spec, login, err := a.spec(ctx, keep(a.want, name, existing.Spec), existing.Spec)
	if err != nil {
		return err
	}
	_, err = a.engine.swarm.ServiceUpdate(ctx, existing.ID, existing.Version, spec, swarm.ServiceUpdateOptions{EncodedRegistryAuth: login.header})
	return login.withhold(err)
}

// spec gives a wanted spec to write over the live one, with the IDs of
// secrets and configs and the current metadata, and the login with which the nodes pull
// its image. Without a login, the engine keeps the one that it has. The wanted stack is
// not changed.
func (a *application) spec(ctx context.Context, want, live swarm.ServiceSpec) (swarm.ServiceSpec, login, error) {
	spec := settle(want, live)
	for name, value := range a.options.Metadata {
		if label := compose.LabelPrefix + name; metadataLabel(label) {
			spec.Labels[label] = value
		}
	}
	container := spec.TaskTemplate.ContainerSpec
	if container == nil {
		return spec, login{}, nil
	}
	setIDs(container, func(of object) string { return a.ids[of] })
	if p := container.Privileges; p != nil {
		p.CredentialSpec = pointedAt(p.CredentialSpec, container.Configs, func(c *swarm.ConfigReference) string { return c.ConfigID })
	}
	for _, one := range references(spec) {
		if one.id == "" {
			return spec, login{}, fmt.Errorf("%s %s does not exist", one.kind, one.name)
		}
	}
	pulls, err := a.logins.of(ctx, RegistryOf(container.Image))
	return spec, pulls, err
}

func (a *application) scaleDown(ctx context.Context, name string) error {
	return inSequence(ctx, a.engine.reader, a.live[name], func(ctx context.Context, existing swarm.Service) error {
		_, err := a.engine.swarm.ServiceUpdate(ctx, existing.ID, existing.Version, scaledTo(existing.Spec, 0), swarm.ServiceUpdateOptions{})
		return err
	})
}

// removeService removes a service by the ID that the plan saw, if that service had the
// stack's label.
func (a *application) removeService(ctx context.Context, name string) error {
	existing, ok := a.live[name]
	if !ok || existing.Spec.Labels[compose.LabelStack] != a.want.Name {
		return fmt.Errorf("it does not belong to stack %s", a.want.Name)
	}
	err := a.engine.swarm.ServiceRemove(ctx, existing.ID)
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

func outOfSequence(err error) bool {
	return err != nil && strings.Contains(err.Error(), "update out of sequence")
}
