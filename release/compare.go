package release

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/swarm"
)

// Differs is a feature flag that two environments have with different values.
type Differs struct {
	Node string `json:"node"` // of To
	Name string `json:"name"`
	From string `json:"from"` // "" where it is not set
	To   string `json:"to"`
}

// Resource is what a service gets on a node, side by side.
type Resource struct {
	Node    string `json:"node"`
	Service string `json:"service"`
	What    string `json:"what"` // replicas, or a limit or reservation
	From    string `json:"from"`
	To      string `json:"to"`    // now; "" where the service or the resource is new
	After   string `json:"after"` // the merge
}

// compare notes what a node lacks after the promotion, and what differs between the two sides.
func (p *PromotionPlan) compare(from, before, after *side) {
	has := map[string]bool{}
	for _, secret := range from.stack.Secrets {
		has[secret.Key] = secret.Missing == nil
	}
	for _, secret := range after.stack.Secrets {
		if secret.Missing != nil && has[secret.Key] {
			p.Secrets = append(p.Secrets, Missing{after.node.Name, secret.Key})
		}
	}
	flags, present := from.flags(), after.flags()
	for _, name := range slices.Compact(slices.Sorted(slices.Values(append(sorted(flags), sorted(present)...)))) {
		if flags[name] != present[name] {
			p.Flags = append(p.Flags, Differs{after.node.Name, name, flags[name], present[name]})
		}
	}
	p.Resources = append(p.Resources, resources(from, before, after)...)
}

// flags gives the feature flags of a node: its settings, and its variables where no setting has
// the name.
func (s *side) flags() map[string]string {
	all := map[string]string{}
	for name, v := range s.node.Variables {
		if strings.HasPrefix(name, featurePrefix) {
			all[name] = v.Value
		}
	}
	for name, value := range s.merged() {
		if strings.HasPrefix(name, featurePrefix) {
			all[name] = value
		}
	}
	return all
}

// featurePrefix begins the variable of a feature flag.
const featurePrefix = "FEATURE_"

// resources lists what services get differently on the two sides, or from the merge on.
func resources(from, before, after *side) (all []Resource) {
	theirs, now, then := from.resources(), before.resources(), after.resources()
	for _, key := range sorted(then) {
		if theirs[key] == then[key] && now[key] == then[key] {
			continue
		}
		service, what, _ := strings.Cut(key, "\x00")
		all = append(all, Resource{after.node.Name, service, what, theirs[key], now[key], then[key]})
	}
	slices.SortStableFunc(all, func(a, b Resource) int { return cmp.Compare(a.Service, b.Service) })
	return all
}

// resources gives what the services of a node get, by service and kind.
func (s *side) resources() map[string]string {
	all := map[string]string{}
	for name, spec := range s.stack.Services {
		service := strings.TrimPrefix(name, s.stack.Name+"_")
		add := func(what, text string) {
			if text != "" {
				all[service+"\x00"+what] = text
			}
		}
		if spec.Mode.Replicated != nil && spec.Mode.Replicated.Replicas != nil {
			add("replicas", strconv.FormatUint(*spec.Mode.Replicated.Replicas, 10))
		}
		of := spec.TaskTemplate.Resources
		if of == nil {
			continue
		}
		if of.Limits != nil {
			add("limit of cpus", cpus(of.Limits.NanoCPUs))
			add("limit of memory", bytesOf(of.Limits.MemoryBytes))
		}
		if of.Reservations != nil {
			reserved := swarm.Resources{NanoCPUs: of.Reservations.NanoCPUs, MemoryBytes: of.Reservations.MemoryBytes}
			add("reserved cpus", cpus(reserved.NanoCPUs))
			add("reserved memory", bytesOf(reserved.MemoryBytes))
		}
	}
	return all
}

func cpus(nano int64) string {
	if nano == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(nano)/1e9, 'f', -1, 64)
}

func bytesOf(count int64) string {
	const mebi = 1 << 20
	switch {
	case count == 0:
		return ""
	case count%(1<<30) == 0:
		return fmt.Sprintf("%d GiB", count>>30)
	case count%mebi == 0:
		return fmt.Sprintf("%d MiB", count/mebi)
	}
	return fmt.Sprintf("%d B", count)
}
