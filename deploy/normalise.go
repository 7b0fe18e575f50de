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

// canonical gives a spec in the form in which specs are compared: with the engine's
// defaults, without IDs of secrets and configs, and without
// metadata labels. It does not change its argument.
func canonical(spec swarm.ServiceSpec) swarm.ServiceSpec {
	spec.Labels = fixedLabels(spec.Labels)
	spec.Mode = canonicalMode(spec.Mode)
	spec.UpdateConfig = canonicalUpdate(spec.UpdateConfig)
	spec.RollbackConfig = canonicalUpdate(spec.RollbackConfig)
	spec.EndpointSpec = canonicalEndpoint(spec.EndpointSpec)

	task := spec.TaskTemplate
	task.Runtime = cmp.Or(task.Runtime, swarm.RuntimeContainer)
	task.ContainerSpec = canonicalContainer(task.ContainerSpec)
	if policy := task.RestartPolicy; policy != nil {
		given := *policy
		given.Condition = cmp.Or(given.Condition, swarm.RestartPolicyConditionAny)
		given.MaxAttempts = cmp.Or(given.MaxAttempts, new(uint64))
		task.RestartPolicy = &given
	}
	task.Placement = canonicalPlacement(task.Placement)
	spec.TaskTemplate = task
	return spec
}

// canonicalPlacement gives nil for an empty placement, and sorts the platforms, which
// registries list in any order.
func canonicalPlacement(placement *swarm.Placement) *swarm.Placement {
	if p := placement; p == nil || len(p.Constraints)+len(p.Preferences)+len(p.Platforms) == 0 && p.MaxReplicas == 0 {
		return nil
	}
	given := *placement
	given.Platforms = slices.Clone(given.Platforms)
	slices.SortFunc(given.Platforms, func(a, b swarm.Platform) int {
		return strings.Compare(platformName(a), platformName(b))
	})
	return &given
}

// metadataLabel tells whether a label is metadata of the agent: its change alone is not
// written.
func metadataLabel(name string) bool {
	return strings.HasPrefix(name, compose.LabelPrefix) && name != compose.LabelOwner
}

func fixedLabels(labels map[string]string) map[string]string {
	fixed := maps.Clone(labels)
	maps.DeleteFunc(fixed, func(name, _ string) bool { return metadataLabel(name) })
	return fixed
}

func canonicalMode(mode swarm.ServiceMode) swarm.ServiceMode {
	one := uint64(1)
	switch {
	case mode.ReplicatedJob != nil:
		job := *mode.ReplicatedJob
		job.MaxConcurrent = cmp.Or(job.MaxConcurrent, &one)
		job.TotalCompletions = cmp.Or(job.TotalCompletions, job.MaxConcurrent)
		mode.ReplicatedJob = &job
	case mode.Global != nil, mode.GlobalJob != nil:
	case mode.Replicated == nil || mode.Replicated.Replicas == nil:
		mode.Replicated = &swarm.ReplicatedService{Replicas: &one}
	}
	return mode
}

func canonicalUpdate(config *swarm.UpdateConfig) *swarm.UpdateConfig {
	if config == nil {
		return nil
	}
	given := *config
	given.FailureAction = cmp.Or(given.FailureAction, swarm.UpdateFailureActionPause)
	given.Order = cmp.Or(given.Order, swarm.UpdateOrderStopFirst)
	return &given
}

func canonicalEndpoint(endpoint *swarm.EndpointSpec) *swarm.EndpointSpec {
	given := swarm.EndpointSpec{}
	if endpoint != nil {
		given = *endpoint
	}
	given.Mode = cmp.Or(given.Mode, swarm.ResolutionModeVIP)
	given.Ports = slices.Clone(given.Ports)
	for i := range given.Ports {
		port := &given.Ports[i]
		port.Protocol = protocol(*port)
		port.PublishMode = cmp.Or(port.PublishMode, swarm.PortConfigPublishModeIngress)
	}
	return &given
}

func canonicalContainer(spec *swarm.ContainerSpec) *swarm.ContainerSpec {
	if spec == nil {
		return nil
	}
	given := *spec
	given.Isolation = cmp.Or(given.Isolation, container.IsolationDefault)
	setIDs(&given, func(object) string { return "" })
	given.Mounts = slices.Clone(given.Mounts)
	for i := range given.Mounts {
		given.Mounts[i] = canonicalMount(given.Mounts[i])
	}
	given.Privileges = canonicalPrivileges(given.Privileges, spec.Configs)
	return &given
}

// canonicalMount leaves out the consistency and empty bind options, which Swarm does not
// store.
func canonicalMount(m mount.Mount) mount.Mount {
	m.Type, m.Consistency = cmp.Or(m.Type, mount.TypeBind), ""
	if m.BindOptions == nil || *m.BindOptions == (mount.BindOptions{}) {
		m.BindOptions = nil
		return m
	}
	bind := *m.BindOptions
	bind.Propagation = cmp.Or(bind.Propagation, mount.PropagationRPrivate)
	m.BindOptions = &bind
	return m
}

func canonicalPrivileges(privileges *swarm.Privileges, configs []*swarm.ConfigReference) *swarm.Privileges {
	if privileges == nil {
		return nil
	}
	given := *privileges
	given.CredentialSpec = pointedAt(given.CredentialSpec, configs, func(c *swarm.ConfigReference) string { return c.ConfigName })
	if given.Seccomp != nil {
		seccomp := *given.Seccomp
		seccomp.Mode = cmp.Or(seccomp.Mode, swarm.SeccompModeDefault)
		given.Seccomp = &seccomp
	}
	if given.AppArmor != nil && given.AppArmor.Mode == "" {
		given.AppArmor = &swarm.AppArmorOpts{Mode: swarm.AppArmorModeDefault}
	}
	return &given
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
