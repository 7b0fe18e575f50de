package metrics

import "github.com/prometheus/client_golang/prometheus"

// ofStack gives a registry for the metrics of a stack: one for all would keep the labels that it
// saw first, and a node's only stack has no name as a label.
func (m *Metrics) ofStack() *prometheus.Registry {
	m.mu.Lock()
	defer m.mu.Unlock()
	own := prometheus.NewRegistry()
	m.stacks = append(m.stacks, own)
	return own
}

// Drop takes the metrics of a stack away that the node keeps no longer in sync.
func (s *Stack) Drop() {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	kept := s.of.stacks[:0:0]
	for _, one := range s.of.stacks {
		if one != s.own {
			kept = append(kept, one)
		}
	}
	s.of.stacks = kept
}

// all gives the metrics of the node and of its stacks.
func (m *Metrics) all() prometheus.Gatherers {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := prometheus.Gatherers{m.registry}
	for _, one := range m.stacks {
		all = append(all, one)
	}
	return all
}
