package containers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"

	"coin.internal/coin-agent/internal/fault"
)

func sorted[V any](all map[string]V) []string { return slices.Sorted(maps.Keys(all)) }

// The conditions of depends_on that are waited for.
const (
	conditionHealthy = "service_healthy"
	conditionDone    = "service_completed_successfully"
)

// ordered gives the containers in levels: those of a level depend on earlier ones only. Services
// that depend on each other in a circle are in the last level.
func ordered(all []wanted, depends map[string]map[string]string) (levels [][]wanted) {
	placed := map[string]bool{}
	known := map[string]bool{}
	for _, one := range all {
		known[one.service] = true
	}
	for rest := all; len(rest) > 0; {
		var level, later []wanted
		for _, one := range rest {
			free := true
			for on := range depends[one.service] {
				free = free && (placed[on] || !known[on])
			}
			if free {
				level = append(level, one)
			} else {
				later = append(later, one)
			}
		}
		if len(level) == 0 {
			return append(levels, later)
		}
		for _, one := range level {
			placed[one.service] = true
		}
		levels, rest = append(levels, level), later
	}
	return levels
}

// awaitDependencies waits for the conditions of depends_on.
func (r *run) awaitDependencies(ctx context.Context, one wanted) error {
	depends := r.use.Stack.Depends[one.service]
	for _, on := range sorted(depends) {
		condition := depends[on]
		if condition != conditionHealthy && condition != conditionDone {
			continue
		}
		for _, other := range r.wanted {
			if other.service != on {
				continue
			}
			if err := r.await(ctx, other, condition); err != nil {
				return fmt.Errorf("%s waits for %s: %w", one.service, on, err)
			}
		}
	}
	return nil
}

// settle waits until each container runs, is healthy, or has done its job.
func (r *run) settle(ctx context.Context) error {
	var faults []error
	for _, one := range r.wanted {
		condition := conditionHealthy
		if one.job {
			condition = conditionDone
		}
		faults = append(faults, r.await(ctx, one, condition))
	}
	return errors.Join(faults...)
}

// await asks the engine for the state of a container until it meets a condition, or cannot.
func (r *run) await(ctx context.Context, one wanted, condition string) error {
	ctx, cancel := context.WithTimeout(ctx, r.use.Timeout)
	defer cancel()
	for {
		found, err := r.use.API.ContainerInspect(ctx, one.name)
		if err == nil {
			met, failed := judge(found.State, one.host.RestartPolicy, condition)
			if met {
				return nil
			}
			if failed != "" {
				return fault.New(fault.Place{}, "read its output: docker logs "+one.name, "the container %s %s", one.name, failed)
			}
		}
		select {
		case <-ctx.Done():
			if err == nil && found.State != nil {
				err = fault.New(fault.Place{}, "read its output: docker logs "+one.name, "the container %s is %s after %s", one.name, state(found.State), r.use.Timeout)
			}
			return cmp.Or(err, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func state(of *container.State) string {
	if of.Health != nil && of.Status == "running" {
		return of.Health.Status
	}
	return of.Status
}

// judge says whether a container meets a condition, or why it never will.
func judge(of *container.State, policy container.RestartPolicy, condition string) (met bool, failed string) {
	switch {
	case of == nil:
		return false, ""
	case of.Status == "exited" && of.ExitCode == 0 && condition == conditionDone:
		return true, ""
	case of.Status == "exited" && policy.Name != container.RestartPolicyUnlessStopped, of.Status == "dead":
		return condition == conditionHealthy && of.ExitCode == 0 && of.Status == "exited", fmt.Sprintf("has ended with exit code %d", of.ExitCode)
	case of.Status == "restarting" && of.ExitCode != 0 && policy.Name == container.RestartPolicyUnlessStopped && condition == conditionHealthy:
		return false, fmt.Sprintf("ends again and again, with exit code %d", of.ExitCode)
	case condition == conditionDone || of.Status != "running":
		return false, ""
	case of.Health == nil || of.Health.Status == container.NoHealthcheck || of.Health.Status == container.Healthy:
		return true, ""
	case of.Health.Status == container.Unhealthy:
		return false, "is unhealthy"
	}
	return false, ""
}

// volumes makes the named volumes that are missing, so that they have the stack's label.
func (r *run) volumes(ctx context.Context) error {
	made := map[string]bool{}
	for _, one := range r.wanted {
		for _, m := range one.host.Mounts {
			if m.Type != mount.TypeVolume || m.Source == "" || made[m.Source] {
				continue
			}
			made[m.Source] = true
			if err := r.volume(ctx, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// volume makes a volume, unless it exists: of this stack or an external one, its data stays.
func (r *run) volume(ctx context.Context, m mount.Mount) error {
	_, err := r.use.API.VolumeInspect(ctx, m.Source)
	if err == nil {
		return nil
	}
	if !errdefs.IsNotFound(err) {
		return fmt.Errorf("look for the volume %s: %w", m.Source, err)
	}
	options := volume.CreateOptions{Name: m.Source, Labels: labelled(nil, r.use.Stack.Name)}
	if m.VolumeOptions != nil {
		options.Labels = labelled(m.VolumeOptions.Labels, r.use.Stack.Name)
		if driver := m.VolumeOptions.DriverConfig; driver != nil {
			options.Driver, options.DriverOpts = driver.Name, driver.Options
		}
	}
	if _, err := r.use.API.VolumeCreate(ctx, options); err != nil {
		return fmt.Errorf("create the volume %s: %w", m.Source, err)
	}
	r.use.Progress("created volume " + m.Source)
	return nil
}
