package compose

import (
	"maps"
	"slices"
)

// Given lists objects that do not have to exist yet, by their names in the engine, because an
// earlier stack of the node makes them.
type Given struct{ Networks, Secrets, Configs []string }

// Makes lists the objects that the stack makes. To plan a later stack of the same node, before
// this one was applied, set its field Given to what the earlier ones make.
func (s *Stack) Makes() Given {
	made := Given{Networks: slices.Sorted(maps.Keys(s.Networks))}
	for _, secret := range s.Secrets {
		made.Secrets = append(made.Secrets, secret.Spec.Name)
	}
	for _, config := range s.Configs {
		made.Configs = append(made.Configs, config.Spec.Name)
	}
	return made
}

// And gives what is in either.
func (g Given) And(other Given) Given {
	return Given{
		Networks: slices.Concat(g.Networks, other.Networks), Secrets: slices.Concat(g.Secrets, other.Secrets), Configs: slices.Concat(g.Configs, other.Configs),
	}
}
