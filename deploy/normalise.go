package deploy

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

// canonicalise gives a spec the form in which specs are compared: with the engine's
// defaults, without IDs of secrets and configs, and without metadata labels.
func canonicalise(spec *swarm.ServiceSpec) {
	spec.Labels = maps.Clone(spec.Labels)
	maps.DeleteFunc(spec.Labels, func(name, _ string) bool { return metadataLabel(name) })
	spec.Mode = canonicalMode(spec.Mode)
	for _, config := range []*swarm.UpdateConfig{spec.UpdateConfig, spec.RollbackConfig} {
		if config != nil {
			fill(&config.FailureAction, swarm.UpdateFailureActionPause)
			fill(&config.Order, swarm.UpdateOrderStopFirst)
		}
	}
	fill(&spec.EndpointSpec, &swarm.EndpointSpec{})
	fill(&spec.EndpointSpec.Mode, swarm.ResolutionModeVIP)
	for i := range spec.EndpointSpec.Ports {
		port := &spec.EndpointSpec.Ports[i]
		port.Protocol = protocol(*port)
		fill(&port.PublishMode, swarm.PortConfigPublishModeIngress)
	}
	task := &spec.TaskTemplate
	fill(&task.Runtime, swarm.RuntimeContainer)
	if policy := task.RestartPolicy; policy != nil {
		fill(&policy.Condition, swarm.RestartPolicyConditionAny)
		fill(&policy.MaxAttempts, new(uint64))
	}
	task.Placement = canonicalPlacement(task.Placement)
	if task.ContainerSpec != nil {
		canonicalContainer(task.ContainerSpec)
	}
}

// fill sets a field that is not set to the engine's default.
func fill[T comparable](field *T, value T) { *field = cmp.Or(*field, value) }

// canonicalPlacement gives nil for an empty placement, and sorts the platforms, which
// registries list in any order.
func canonicalPlacement(p *swarm.Placement) *swarm.Placement {
	if p == nil || len(p.Constraints)+len(p.Preferences)+len(p.Platforms) == 0 && p.MaxReplicas == 0 {
		return nil
	}
	slices.SortFunc(p.Platforms, func(a, b swarm.Platform) int {
		return strings.Compare(platformName(a), platformName(b))
	})
	return p
}

// metadataLabel tells whether a label is metadata of the agent: its change alone is not
// written.
func metadataLabel(name string) bool {
	return strings.HasPrefix(name, compose.LabelPrefix) && name != compose.LabelOwner
}

func canonicalMode(mode swarm.ServiceMode) swarm.ServiceMode {
	one := uint64(1)
	switch {
	case mode.ReplicatedJob != nil:
		job := *mode.ReplicatedJob
		fill(&job.MaxConcurrent, &one)
		fill(&job.TotalCompletions, job.MaxConcurrent)
		mode.ReplicatedJob = &job
	case mode.Global != nil, mode.GlobalJob != nil:
	case mode.Replicated == nil || mode.Replicated.Replicas == nil:
		mode.Replicated = &swarm.ReplicatedService{Replicas: &one}
	}
	return mode
}

func canonicalContainer(c *swarm.ContainerSpec) {
	fill(&c.Isolation, container.IsolationDefault)
	for i := range c.Mounts {
		canonicalMount(&c.Mounts[i])
	}
	if p := c.Privileges; p != nil {
		p.CredentialSpec = pointedAt(p.CredentialSpec, c.Configs, func(c *swarm.ConfigReference) string { return c.ConfigName })
		if p.Seccomp != nil {
			fill(&p.Seccomp.Mode, swarm.SeccompModeDefault)
		}
		if p.AppArmor != nil {
			fill(&p.AppArmor.Mode, swarm.AppArmorModeDefault)
		}
	}
	setIDs(c, func(object) string { return "" })
}

// canonicalMount leaves out what Swarm does not store: the consistency, empty bind options,
// and the options of a cluster volume, which have no fields (engines since API 1.42).
func canonicalMount(m *mount.Mount) {
	fill(&m.Type, mount.TypeBind)
	m.Consistency, m.ClusterOptions = "", nil
	if m.BindOptions != nil && *m.BindOptions != (mount.BindOptions{}) {
		fill(&m.BindOptions.Propagation, mount.PropagationRPrivate)
	} else {
		m.BindOptions = nil
	}
}

// pointedAt gives the credential spec with the reference to its config: the engine stores
// the config's ID there, and a rendered stack has only a reference to a config that is
// not a file.
func pointedAt(spec *swarm.CredentialSpec, configs []*swarm.ConfigReference, pointer func(*swarm.ConfigReference) string) *swarm.CredentialSpec {
	if spec == nil || spec.File != "" || spec.Registry != "" {
		return spec
	}
	for _, config := range configs {
		if config.Runtime != nil && (spec.Config == "" || spec.Config == config.ConfigID || spec.Config == config.ConfigName) {
			return &swarm.CredentialSpec{Config: pointer(config)}
		}
	}
	return spec
}
