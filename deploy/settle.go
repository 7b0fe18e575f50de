package deploy

import (
	"maps"
	"reflect"
	"strings"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

// settle gives the spec to write over a live one: a copy of the wanted spec, with those
// fields of the live spec that the wanted one does not set or whose change would restart
// tasks for no reason: the digest of the same image, its platforms, the restart counter, the
// order of lists without a meaning of order, and the metadata labels.
func settle(want, live swarm.ServiceSpec) swarm.ServiceSpec {
	want = clone(want) // the engine's client writes into it as well
	want.Labels = settleLabels(want, live)
	fill(&want.EndpointSpec, live.EndpointSpec)
	task, liveTask := &want.TaskTemplate, live.TaskTemplate
	task.ForceUpdate = max(task.ForceUpdate, liveTask.ForceUpdate)
	same, samePinned := false, false
	if task.ContainerSpec != nil && liveTask.ContainerSpec != nil {
		image := liveTask.ContainerSpec.Image
		same = sameTag(want, live)
		name, _, pinned := strings.Cut(image, "@")
		if pinned && name == task.ContainerSpec.Image {
			task.ContainerSpec.Image = image
		}
		samePinned = pinned && task.ContainerSpec.Image == image
	}
	takeOrder("", reflect.ValueOf(&want).Elem(), reflect.ValueOf(live))
	task.Placement = settlePlacement(task.Placement, liveTask.Placement, same, samePinned)
	return want
}

func settleLabels(want, live swarm.ServiceSpec) map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, want.Labels)
	for name, value := range live.Labels {
		if metadataLabel(name) && name != compose.LabelTimeout && name != compose.LabelWave { // the compose files set these two
			labels[name] = value
		}
	}
	// Any update runs a job again, so the owner is written together with another change.
	if isJob(live.Mode) && maps.Equal(withoutOwner(labels), withoutOwner(live.Labels)) && (live.Labels[compose.LabelOwner] == "" || labels[compose.LabelOwner] == "") {
		return maps.Clone(live.Labels)
	}
	return labels
}

func withoutOwner(labels map[string]string) map[string]string {
	unowned := maps.Clone(labels)
	delete(unowned, compose.LabelOwner)
	return unowned
}

func isJob(mode swarm.ServiceMode) bool { return mode.ReplicatedJob != nil || mode.GlobalJob != nil }

// settlePlacement keeps the live platforms, which belong to the image: `docker stack
// deploy` may remove them although the image stays the same.
func settlePlacement(want, live *swarm.Placement, sameTag, samePinned bool) *swarm.Placement {
	if want == nil && live == nil {
		return nil
	}
	fill(&want, &swarm.Placement{})
	fill(&live, &swarm.Placement{})
	if len(want.Platforms) == 0 && sameTag || samePinned {
		want.Platforms = live.Platforms
	}
	return want
}

// takeOrder puts the lists in want whose order has no meaning in the order of live.
func takeOrder(path string, want, live reflect.Value) {
	switch want.Kind() { //nolint:exhaustive // the kinds that hold others
	case reflect.Pointer:
		if !want.IsNil() && !live.IsNil() {
			takeOrder(path, want.Elem(), live.Elem())
		}
	case reflect.Struct:
		for i := range want.NumField() {
			if field := want.Field(i); mayHaveList(field) {
				takeOrder(fieldPath(path, want.Type().Field(i)), field, live.Field(i))
			}
		}
	case reflect.Slice:
		key := listKey(path)
		if path == "TaskTemplate.Placement.Platforms" {
			key = keyOf(platformName)
		}
		if key != nil {
			takeOrderOfList(path, want, live, key)
		}
	}
}

// mayHaveList reports whether a list can be in a value. The path of no other one is needed.
func mayHaveList(v reflect.Value) bool {
	switch v.Kind() { //nolint:exhaustive // the kinds that hold others
	case reflect.Pointer:
		return !v.IsNil()
	case reflect.Slice:
		return v.Len() > 0
	default:
		return v.Kind() == reflect.Struct
	}
}

// takeOrderOfList sorts want in the order of live if both hold the same keys, each once.
// Otherwise it does not change the order.
func takeOrderOfList(path string, want, live reflect.Value, key func(any) string) {
	wanted, once := indexed(want, key)
	ordered := reflect.MakeSlice(want.Type(), 0, want.Len())
	for i := range live.Len() {
		name := key(live.Index(i).Interface())
		if element, ok := wanted[name]; ok {
			takeOrder(path+"["+name+"]", element, live.Index(i))
			ordered = reflect.Append(ordered, element)
			delete(wanted, name)
		}
	}
	if once && len(wanted) == 0 && live.Len() == want.Len() && want.Len() > 0 {
		want.Set(ordered)
	}
}
