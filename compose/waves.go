package compose

import (
	"maps"
	"slices"
	"strings"
)

// setWaves puts the services into the waves of config.yml. An entry that names
// nothing may be about another node's services: where there is none, it is told.
func (r *renderer) setWaves(stack *Stack) {
	config := r.node.Config
	if len(config.Deployment.Waves) == 0 {
		return
	}
	stack.Waves = map[string]int{}
	for name := range stack.Services {
		if wave := config.Wave(strings.TrimPrefix(name, stack.Name+"_")); wave > 0 {
			stack.Waves[name] = wave
		}
	}
	if len(config.Nodes) == 1 {
		r.warnings = append(r.warnings, config.IdleWaves(stack.Short())...)
	}
}

// Short lists the stack's services as the compose files name them, sorted.
func (s *Stack) Short() []string {
	names := slices.Sorted(maps.Keys(s.Services))
	for i, name := range names {
		names[i] = strings.TrimPrefix(name, s.Name+"_")
	}
	return names
}
