package deploy

import (
	"maps"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

// settle gives the spec to write over a live one: the wanted spec, with those fields of the
// live spec that the wanted one does not set or whose change would restart tasks for no
// reason: the digest of the same image, its platforms, the restart counter, the order of
// lists without a meaning of order, and the metadata labels.
func settle(want, live swarm.ServiceSpec) swarm.ServiceSpec {
	want.Labels = settleLabels(want, live)
	if want.EndpointSpec == nil {
		want.EndpointSpec = live.EndpointSpec
	} else if live.EndpointSpec != nil {
		endpoint := *want.EndpointSpec
		endpoint.Ports = inLiveOrder(endpoint.Ports, live.EndpointSpec.Ports, portKey)
		want.EndpointSpec = &endpoint
	}
	task, liveTask := &want.TaskTemplate, live.TaskTemplate
	task.ForceUpdate = max(task.ForceUpdate, liveTask.ForceUpdate)
	task.Networks = settleNetworks(task.Networks, liveTask.Networks)
	want.Networks = settleNetworks(want.Networks, live.Networks) //nolint:staticcheck // deprecated, yet a live service may carry it
	if task.ContainerSpec != nil {
		container := *task.ContainerSpec // a copy: the engine's client writes into it as well
		if liveTask.ContainerSpec != nil {
			settleContainer(&container, liveTask.ContainerSpec)
		}
		task.ContainerSpec = &container
	}
	task.Resources = settleResources(task.Resources, liveTask.Resources)
	task.Placement = settlePlacement(task.Placement, liveTask.Placement, samePinned(*task, liveTask))
	return want
}

// samePinned tells whether both specs have the same image with a digest.
func samePinned(want, live swarm.TaskSpec) bool {
	return want.ContainerSpec != nil && live.ContainerSpec != nil &&
		want.ContainerSpec.Image == live.ContainerSpec.Image && strings.Contains(live.ContainerSpec.Image, "@")
}

func settleLabels(want, live swarm.ServiceSpec) map[string]string {
	labels := maps.Clone(want.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	for name, value := range live.Labels {
		if metadataLabel(name) && name != compose.LabelTimeout && name != compose.LabelWave { // the compose files set these two
			labels[name] = value
		}
	}
	// Any update runs a job again, so the owner is written together with another change.
	if _, owned := live.Labels[compose.LabelOwner]; !owned && isJob(live.Mode) && sameBut(labels, live.Labels, compose.LabelOwner) {
		delete(labels, compose.LabelOwner)
	}
	return labels
}

func sameBut(a, b map[string]string, name string) bool {
	a = maps.Clone(a)
	delete(a, name)
	return maps.Equal(a, b)
}

func isJob(mode swarm.ServiceMode) bool { return mode.ReplicatedJob != nil || mode.GlobalJob != nil }

func settleNetworks(want, live []swarm.NetworkAttachmentConfig) []swarm.NetworkAttachmentConfig {
	want = slices.Clone(inLiveOrder(want, live, networkTarget))
	for i := range want {
		for _, one := range live {
			if one.Target == want[i].Target {
				want[i].Aliases = inLiveOrder(want[i].Aliases, one.Aliases, itself)
			}
		}
	}
	return want
}

// settlePlacement keeps the live platforms, which belong to the image: `docker stack
// deploy` may remove them although the image stays the same.
func settlePlacement(want, live *swarm.Placement, sameImage bool) *swarm.Placement {
	if live == nil {
		if want == nil || !sameImage {
			return want
		}
		live = &swarm.Placement{}
	}
	given := swarm.Placement{}
	if want != nil {
		given = *want
	}
	given.Constraints = inLiveOrder(given.Constraints, live.Constraints, itself)
	given.Platforms = inLiveOrder(given.Platforms, live.Platforms, platformName)
	if len(given.Platforms) == 0 || sameImage {
		given.Platforms = live.Platforms
	}
	return &given
}

func settleResources(want, live *swarm.ResourceRequirements) *swarm.ResourceRequirements {
	if want == nil || want.Reservations == nil || live == nil || live.Reservations == nil {
		return want
	}
	given, reserved := *want, *want.Reservations
	reserved.GenericResources = inLiveOrder(reserved.GenericResources, live.Reservations.GenericResources, genericKey)
	given.Reservations = &reserved
	return &given
}

func settleContainer(want, live *swarm.ContainerSpec) {
	if name, _, pinned := strings.Cut(live.Image, "@"); pinned && name == want.Image {
		want.Image = live.Image
	}
	want.Env = inLiveOrder(want.Env, live.Env, envName)
	want.Groups = inLiveOrder(want.Groups, live.Groups, itself)
	want.CapabilityAdd = inLiveOrder(want.CapabilityAdd, live.CapabilityAdd, itself)
	want.CapabilityDrop = inLiveOrder(want.CapabilityDrop, live.CapabilityDrop, itself)
	want.Mounts = inLiveOrder(want.Mounts, live.Mounts, func(m mount.Mount) string { return m.Target })
	want.Secrets = inLiveOrder(want.Secrets, live.Secrets, secretTarget)
	want.Configs = inLiveOrder(want.Configs, live.Configs, configTarget)
	want.Ulimits = inLiveOrder(want.Ulimits, live.Ulimits, ulimitName)
}

// inLiveOrder sorts want in the order of live if both hold the same keys, each once.
// Otherwise it does not change the order.
func inLiveOrder[T any](want, live []T, key func(T) string) []T {
	if len(want) != len(live) || len(want) == 0 {
		return want
	}
	byKey := make(map[string]T, len(want))
	for _, one := range want {
		byKey[key(one)] = one
	}
	if len(byKey) != len(want) {
		return want
	}
	ordered := make([]T, 0, len(want))
	for _, one := range live {
		wanted, ok := byKey[key(one)]
		if !ok {
			return want
		}
		delete(byKey, key(one))
		ordered = append(ordered, wanted)
	}
	return ordered
}
