package compose

import (
	"maps"
	"slices"
	"strings"
)

// setWaves sets the waves of the services from config.yml. It warns of entries that
// match no service, unless they may be for another node.
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

// Short lists the stack's services by their names in the compose files, sorted.
func (s *Stack) Short() []string {
	names := slices.Sorted(maps.Keys(s.Services))
	for i, name := range names {
		names[i] = strings.TrimPrefix(name, s.Name+"_")
	}
	return names
}
