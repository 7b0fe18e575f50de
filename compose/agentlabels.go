package compose

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	composetypes "github.com/docker/cli/cli/compose/types"
	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
)

// checkAgentLabels refuses labels with the agent's prefix that a compose file may not
// set. Otherwise a typing error would have no visible effect.
func (f *files) checkAgentLabels(merged *composetypes.Config) error {
	var faults []error
	for _, service := range merged.Services {
		faults = append(faults,
			f.checkDeployLabels(service.Name, service.Deploy.Labels),
			f.forbidAgentLabels(service.Labels, "services", service.Name),
		)
	}
	for name, network := range merged.Networks {
		faults = append(faults, f.forbidAgentLabels(network.Labels, "networks", name))
	}
	for name, volume := range merged.Volumes {
		faults = append(faults, f.forbidAgentLabels(volume.Labels, "volumes", name))
	}
	for name, secret := range merged.Secrets {
		faults = append(faults, f.forbidAgentLabels(secret.Labels, "secrets", name))
	}
	for name, config := range merged.Configs {
		faults = append(faults, f.forbidAgentLabels(config.Labels, "configs", name))
	}
	faults = slices.DeleteFunc(faults, func(err error) bool { return err == nil })
	slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(faults...)
}

func (f *files) checkDeployLabels(service string, labels map[string]string) error {
	var faults []error
	at := []string{"services", service, "deploy", "labels"}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		switch {
		case !strings.HasPrefix(name, LabelPrefix):
		case name == LabelWave:
			if Wave(labels) == 0 {
				faults = append(faults, fault.New(f.placeOfLabel(name, at...), `write a whole number of at least 1, such as "1"`,
					"service %s: the label %s is %q, which is not a wave number", service, name, labels[name]))
			}
		case name != LabelTimeout:
			faults = append(faults, fault.New(f.placeOfLabel(name, at...), "remove it, or use "+LabelTimeout+" or "+LabelWave,
				"service %s: unknown label %s", service, name))
		default:
			if timeout, err := time.ParseDuration(labels[name]); err != nil || timeout <= 0 {
				faults = append(faults, fault.New(f.placeOfLabel(name, at...), "write a duration such as 10m or 90s",
					"service %s: the label %s is %q, which is not a valid duration", service, name, labels[name]))
			}
		}
	}
	return errors.Join(faults...)
}

// forbidAgentLabels refuses the agent's labels where they have no effect.
func (f *files) forbidAgentLabels(labels map[string]string, at ...string) error {
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if !strings.HasPrefix(name, LabelPrefix) {
			continue
		}
		hint := "remove it"
		if (name == LabelTimeout || name == LabelWave) && at[0] == "services" {
			hint = "move it to deploy.labels"
		}
		faults = append(faults, fault.New(f.placeOfLabel(name, append(at, "labels")...), hint,
			"%s: the label %s has no effect here", strings.Join(at, "."), name))
	}
	return errors.Join(faults...)
}

// placeOfLabel finds a label, in a mapping or a list, in the last file that sets it.
func (f *files) placeOfLabel(name string, at ...string) fault.Place {
	for _, s := range slices.Backward(f.main) {
		if place, depth, _ := s.find(append(slices.Clip(at), name)); depth > len(at) {
			return place
		}
		node := s.root
		for _, key := range at {
			_, node = lookup(node, key)
		}
		if node = deref(node); node == nil || node.Kind != yaml.SequenceNode {
			continue
		}
		for _, item := range node.Content {
			if key, _, _ := strings.Cut(deref(item).Value, "="); key == name {
				return fault.Place{File: s.path, Line: item.Line}
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
