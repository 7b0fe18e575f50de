package deploy

import (
	"cmp"
	"maps"
	"slices"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

// Unowned is a live object of a stack that has no label of an agent: another tool made it.
type Unowned struct {
	Kind    Kind
	Name    string // full name in the engine
	ID      string // in the engine
	InStack bool   // it has the stack's label
	Wanted  bool   // the stack has an object of this name
}

// UnownedOf gives the objects without a label of an agent that have the stack's label, and
// those that the stack would use as its own because it has an object of this name. They are
// sorted by kind and name. External objects of the stack are not among them.
func UnownedOf(live *Live, want *compose.Stack) []Unowned {
	var found []Unowned
	add := func(of object, id string, labels map[string]string, wanted bool) {
		inStack := labels[compose.LabelStack] == want.Name
		if labels[compose.LabelOwner] == "" && (wanted || inStack) {
			found = append(found, Unowned{of.kind, of.name, id, inStack, wanted})
		}
	}
	for name, service := range live.Services {
		_, wanted := want.Services[name]
		add(object{Service, name}, service.ID, service.Spec.Labels, wanted)
	}
	for name, network := range live.Networks {
		if _, wanted := want.Networks[name]; network.Scope == "swarm" {
			add(object{Network, name}, network.ID, network.Labels, wanted)
		}
	}
	for name, secret := range live.Secrets {
		wanted := slices.ContainsFunc(want.Secrets, func(s compose.Secret) bool { return s.Spec.Name == name })
		if wanted || !slices.Contains(want.ExternalSecrets, name) {
			add(object{Secret, name}, secret.ID, secret.Spec.Labels, wanted)
		}
	}
	for name, config := range live.Configs {
		wanted := slices.ContainsFunc(want.Configs, func(c compose.Config) bool { return c.Spec.Name == name })
		if wanted || !slices.Contains(want.ExternalConfigs, name) {
			add(object{Config, name}, config.ID, config.Spec.Labels, wanted)
		}
	}
	slices.SortFunc(found, func(a, b Unowned) int {
		return cmp.Or(cmp.Compare(kindOrder(a.Kind), kindOrder(b.Kind)), cmp.Compare(a.Name, b.Name))
	})
	return found
}

// kindOrder puts what runs before what it uses.
func kindOrder(kind Kind) int {
	return slices.Index([]Kind{Service, Network, Secret, Config}, kind)
}

// Owns reports whether a live service of the stack has the label of the stack's agent.
func Owns(live LiveServices, want *compose.Stack) bool {
	for _, service := range live {
		labels := service.Spec.Labels
		if labels[compose.LabelStack] == want.Name && labels[compose.LabelOwner] == want.Owner {
			return true
		}
	}
	return false
}

// WithoutUnowned gives the live services without those that the stack does not have and
// that no agent has labelled: only a rollout may remove them, after a user adopted them.
func WithoutUnowned(live LiveServices, want *compose.Stack) LiveServices {
	left := maps.Clone(live)
	maps.DeleteFunc(left, func(name string, _ swarm.Service) bool { return unowned(live, want, name) })
	return left
}

// UnownedServices names the live services that the stack does not have and that no agent
// has labelled, sorted.
func UnownedServices(live LiveServices, want *compose.Stack) []string {
	return slices.DeleteFunc(keys(live), func(name string) bool { return !unowned(live, want, name) })
}

func unowned(live LiveServices, want *compose.Stack, name string) bool {
	_, wanted := want.Services[name]
	return !wanted && live[name].Spec.Labels[compose.LabelOwner] == ""
}
