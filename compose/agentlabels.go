package compose

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	composetypes "github.com/docker/cli/cli/compose/types"

	"coin.internal/coin-agent/internal/fault"
)

// checkAgentLabels refuses labels with the agent's prefix that a compose file may not
// set. Otherwise a typing error would have no visible effect.
func (f *files) checkAgentLabels(merged *composetypes.Config) error {
	var faults []error
	check := func(labels map[string]string, at ...string) {
		var wrong []error
		for _, name := range slices.Sorted(maps.Keys(labels)) {
			if message, hint := wrongLabel(at, name, labels); message != "" {
				wrong = append(wrong, fault.New(f.placeOfLabel(name, at), hint, "%s", message))
			}
		}
		if len(wrong) > 0 {
			faults = append(faults, errors.Join(wrong...))
		}
	}
	for _, service := range merged.Services {
		check(service.Deploy.Labels, "services", service.Name, "deploy", "labels")
		check(service.Labels, "services", service.Name, "labels")
	}
	for name, network := range merged.Networks {
		check(network.Labels, "networks", name, "labels")
	}
	for name, volume := range merged.Volumes {
		check(volume.Labels, "volumes", name, "labels")
	}
	for name, secret := range merged.Secrets {
		check(secret.Labels, "secrets", name, "labels")
	}
	for name, config := range merged.Configs {
		check(config.Labels, "configs", name, "labels")
	}
	slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(faults...)
}

// wrongLabel returns what is wrong with one of the labels at these keys, and a hint.
func wrongLabel(at []string, name string, labels map[string]string) (message, hint string) {
	known := name == LabelTimeout || name == LabelWave
	service := "service " + at[1]
	switch {
	case !strings.HasPrefix(name, LabelPrefix):
	case at[0] == "services" && at[2] == "labels" && known:
		return fmt.Sprintf("%s.%s: the label %s has no effect here", at[0], at[1], name), "move it to deploy.labels"
	case at[2] == "labels":
		return fmt.Sprintf("%s.%s: the label %s has no effect here", at[0], at[1], name), "remove it"
	case !known:
		return fmt.Sprintf("%s: unknown label %s", service, name), "remove it, or use " + LabelTimeout + " or " + LabelWave
	case name == LabelWave && Wave(labels) == 0:
		return fmt.Sprintf("%s: the label %s is %q, which is not a wave number", service, name, labels[name]),
			`write a whole number of at least 1, such as "1"`
	case name == LabelTimeout && Timeout(labels) == 0:
		return fmt.Sprintf("%s: the label %s is %q, which is not a valid duration", service, name, labels[name]),
			"write a duration such as 10m or 90s"
	}
	return "", ""
}

// placeOfLabel finds a label, in a mapping or a list, in the last file that sets it.
func (f *files) placeOfLabel(name string, at []string) fault.Place {
	for _, s := range slices.Backward(f.main) {
		place, depth, node := s.find(append(slices.Clip(at), name))
		if depth > len(at) {
			return place
		}
		for _, item := range items(node) {
			if key, _, _ := strings.Cut(deref(item).Value, "="); depth == len(at) && key == name {
				place.Line = item.Line
				return place
			}
		}
	}
	return f.placeOf(at...)
}

// Wave returns the wave in a service's label, or 0.
func Wave(labels map[string]string) int {
	wave, err := strconv.Atoi(labels[LabelWave])
	if err != nil || wave < 0 {
		return 0
	}
	return wave
}

// Timeout returns how long a service may take to become healthy according to its
// label, or 0.
func Timeout(labels map[string]string) time.Duration {
	timeout, err := time.ParseDuration(labels[LabelTimeout])
	if err != nil || timeout < 0 {
		return 0
	}
	return timeout
}
