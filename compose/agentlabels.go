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

// checkAgentLabels refuses labels of the agent's prefix that are none of those
// which a compose file may set: a slip of the pen there would go unnoticed.
func (r *renderer) checkAgentLabels(merged *composetypes.Config) error {
	var faults []error
	for _, service := range merged.Services {
		faults = append(faults,
			r.checkDeployLabels(service.Name, service.Deploy.Labels),
			r.forbidAgentLabels(service.Labels, "services", service.Name),
		)
	}
	for name, network := range merged.Networks {
		faults = append(faults, r.forbidAgentLabels(network.Labels, "networks", name))
	}
	for name, volume := range merged.Volumes {
		faults = append(faults, r.forbidAgentLabels(volume.Labels, "volumes", name))
	}
	for name, secret := range merged.Secrets {
		faults = append(faults, r.forbidAgentLabels(secret.Labels, "secrets", name))
	}
	for name, config := range merged.Configs {
		faults = append(faults, r.forbidAgentLabels(config.Labels, "configs", name))
	}
	faults = slices.DeleteFunc(faults, func(err error) bool { return err == nil })
	slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(faults...)
}

// checkDeployLabels checks the agent's labels of a service.
func (r *renderer) checkDeployLabels(service string, labels map[string]string) error {
	var faults []error
	at := []string{"services", service, "deploy", "labels"}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		switch {
		case !strings.HasPrefix(name, LabelPrefix):
		case name == LabelWave:
			if Wave(labels) == 0 {
				faults = append(faults, fault.New(r.placeOfLabel(name, at...), `write a whole number from 1 on, such as "1"`,
					"service %s: the label %s is %q, which is no number of a wave", service, name, labels[name]))
			}
		case name != LabelTimeout:
			faults = append(faults, fault.New(r.placeOfLabel(name, at...), "the agent knows "+LabelTimeout+" and "+LabelWave,
				"service %s: the label %s is none that the agent knows", service, name))
		default:
			if timeout, err := time.ParseDuration(labels[name]); err != nil || timeout <= 0 {
				faults = append(faults, fault.New(r.placeOfLabel(name, at...), "write a duration such as 10m or 90s",
					"service %s: the label %s is %q, which is no duration", service, name, labels[name]))
			}
		}
	}
	return errors.Join(faults...)
}

// forbidAgentLabels refuses the agent's labels where it never reads any.
func (r *renderer) forbidAgentLabels(labels map[string]string, at ...string) error {
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if !strings.HasPrefix(name, LabelPrefix) {
			continue
		}
		hint := "remove it"
		if (name == LabelTimeout || name == LabelWave) && at[0] == "services" {
			hint = "put it under deploy.labels"
		}
		faults = append(faults, fault.New(r.placeOfLabel(name, append(at, "labels")...), hint,
			"%s: the label %s has no effect here", strings.Join(at, "."), name))
	}
	return errors.Join(faults...)
}

// placeOfLabel finds a label in the last file that sets it, in a mapping or a list.
func (r *renderer) placeOfLabel(name string, at ...string) fault.Place {
	for _, s := range slices.Backward(r.sources) {
		if place, depth := s.find(append(slices.Clip(at), name)); depth > len(at) {
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
	return r.placeOf(at...)
}

// Wave is the wave that a service's label puts it into; 0 where it has none.
func Wave(labels map[string]string) int {
	wave, err := strconv.Atoi(labels[LabelWave])
	if err != nil || wave < 0 {
		return 0
	}
	return wave
}

// Timeout is how long a service may take to be what it declares, as its label
// says; 0 where it has none.
func Timeout(labels map[string]string) time.Duration {
	timeout, err := time.ParseDuration(labels[LabelTimeout])
	if err != nil || timeout < 0 {
		return 0
	}
	return timeout
}
