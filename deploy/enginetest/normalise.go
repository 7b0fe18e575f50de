package enginetest

import (
	"cmp"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/api/types/versions"
)

// normalise gives a spec as the engine keeps it: a copy with what Swarm fills in, and
// without what it drops.
func (e *Engine) normalise(given swarm.ServiceSpec) *swarm.ServiceSpec {
	spec := clone(given)
	if spec.Labels == nil {
		spec.Labels = map[string]string{}
	}
	spec.Mode = normalMode(spec.Mode)
	normalUpdate(spec.UpdateConfig)
	normalUpdate(spec.RollbackConfig)
	normalEndpoint(spec.EndpointSpec)
	task := &spec.TaskTemplate
	task.Runtime = swarm.RuntimeContainer
	if policy := task.RestartPolicy; policy != nil {
		policy.Condition = cmp.Or(policy.Condition, swarm.RestartPolicyConditionAny)
		if policy.MaxAttempts == nil {
			policy.MaxAttempts = new(uint64)
		}
	}
	if task.Placement != nil {
		kept := task.Placement.Preferences[:0]
		for _, preference := range task.Placement.Preferences {
			if preference.Spread != nil {
				kept = append(kept, preference)
			}
		}
		task.Placement.Preferences = unlessEmpty(kept)
	}
	e.normalContainer(task.ContainerSpec)
	return &spec
}

func unlessEmpty[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

func normalMode(mode swarm.ServiceMode) swarm.ServiceMode {
	one := uint64(1)
	switch {
	case mode.Global != nil, mode.GlobalJob != nil:
	case mode.ReplicatedJob != nil:
		if mode.ReplicatedJob.MaxConcurrent == nil {
			mode.ReplicatedJob.MaxConcurrent = &one
		}
		if mode.ReplicatedJob.TotalCompletions == nil {
			total := *mode.ReplicatedJob.MaxConcurrent
			mode.ReplicatedJob.TotalCompletions = &total
		}
	case mode.Replicated == nil || mode.Replicated.Replicas == nil:
		mode.Replicated = &swarm.ReplicatedService{Replicas: &one}
	}
	return mode
}

func normalUpdate(config *swarm.UpdateConfig) {
	if config != nil {
		config.FailureAction = cmp.Or(config.FailureAction, swarm.UpdateFailureActionPause)
		config.Order = cmp.Or(config.Order, swarm.UpdateOrderStopFirst)
	}
}

func normalEndpoint(endpoint *swarm.EndpointSpec) {
	if endpoint == nil {
		return
	}
	endpoint.Mode = cmp.Or(endpoint.Mode, swarm.ResolutionModeVIP)
	for i := range endpoint.Ports {
		port := &endpoint.Ports[i]
		port.Protocol = cmp.Or(port.Protocol, swarm.PortConfigProtocolTCP)
		port.PublishMode = cmp.Or(port.PublishMode, swarm.PortConfigPublishModeIngress)
	}
}

func (e *Engine) normalContainer(spec *swarm.ContainerSpec) {
	if spec == nil {
		return
	}
	spec.Image = withTag(spec.Image)
	if spec.Isolation == "" {
		spec.Isolation = container.IsolationDefault
	}
	secrets := spec.Secrets[:0]
	for _, reference := range spec.Secrets {
		if reference.File != nil {
			secrets = append(secrets, reference)
		}
	}
	spec.Secrets = unlessEmpty(secrets)
	for i := range spec.Mounts {
		normalMount(&spec.Mounts[i])
	}
	if p := spec.Privileges; p != nil {
		if p.Seccomp != nil {
			p.Seccomp.Mode = cmp.Or(p.Seccomp.Mode, swarm.SeccompModeDefault)
		}
		if p.AppArmor != nil {
			p.AppArmor.Mode = cmp.Or(p.AppArmor.Mode, swarm.AppArmorModeDefault)
		}
	}
	e.dropNewFields(spec)
}

// normalMount drops what Swarm does not keep of a mount, and gives bind mounts that
// say something the propagation that they have then.
func normalMount(m *mount.Mount) {
	m.Type = cmp.Or(m.Type, mount.TypeBind)
	m.Consistency = ""
	m.ImageOptions, m.ClusterOptions = nil, nil
	if m.BindOptions == nil {
		return
	}
	kept := mount.BindOptions{Propagation: m.BindOptions.Propagation, NonRecursive: m.BindOptions.NonRecursive}
	if kept == (mount.BindOptions{}) {
		m.BindOptions = nil
		return
	}
	kept.Propagation = cmp.Or(kept.Propagation, mount.PropagationRPrivate)
	m.BindOptions = &kept
}

// dropNewFields takes out what the engine's API version does not know.
func (e *Engine) dropNewFields(spec *swarm.ContainerSpec) {
	before := func(version string) bool { return versions.LessThan(e.options.APIVersion, version) }
	if before("1.44") {
		if p := spec.Privileges; p != nil {
			p.Seccomp, p.AppArmor, p.NoNewPrivileges = nil, nil, false
		}
		if spec.Healthcheck != nil {
			spec.Healthcheck.StartInterval = 0
		}
	}
	for i := range spec.Mounts {
		m := &spec.Mounts[i]
		if m.VolumeOptions != nil && before("1.45") {
			m.VolumeOptions.Subpath = ""
		}
		if m.TmpfsOptions != nil && before("1.46") {
			m.TmpfsOptions.Options = nil
		}
	}
	if before("1.46") {
		spec.OomScoreAdj = 0
	}
}
