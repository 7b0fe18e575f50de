package metrics

import "github.com/prometheus/client_golang/prometheus"

// registered registers the metrics of a stack, and knows them.
type registered struct {
	at  prometheus.Registerer
	all []prometheus.Collector
}

// Register is part of prometheus.Registerer.
func (r *registered) Register(one prometheus.Collector) error {
	err := r.at.Register(one)
	if err == nil {
		r.all = append(r.all, one)
	}
	return err
}

// MustRegister is part of prometheus.Registerer.
func (r *registered) MustRegister(all ...prometheus.Collector) {
	r.at.MustRegister(all...)
	r.all = append(r.all, all...)
}

// Unregister is part of prometheus.Registerer.
func (r *registered) Unregister(one prometheus.Collector) bool { return r.at.Unregister(one) }

// Drop takes the metrics of a stack away that the node keeps no longer in sync.
func (s *Stack) Drop() {
	for _, one := range s.registered.all {
		s.registered.Unregister(one)
	}
}
