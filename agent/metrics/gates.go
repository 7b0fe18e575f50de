package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

// gateMetrics tell what keeps a rollout from beginning. They are asked at each scrape.
type gateMetrics struct {
	paused, waiting *prometheus.Desc
	ask             func() (paused bool, waiting []string) // Ask sets it
}

func newGateMetrics(labels prometheus.Labels) *gateMetrics {
	return &gateMetrics{
		paused:  prometheus.NewDesc("coin_agent_paused", "1 while a person has paused the agent.", nil, labels),
		waiting: prometheus.NewDesc("coin_agent_waiting", "1 for each gate that a rollout waits for.", []string{"gate"}, labels),
		ask:     func() (bool, []string) { return false, nil },
	}
}

// Describe is prometheus.Collector's.
func (m *gateMetrics) Describe(to chan<- *prometheus.Desc) { to <- m.paused; to <- m.waiting }

// Collect is prometheus.Collector's.
func (m *gateMetrics) Collect(to chan<- prometheus.Metric) {
	paused, waiting := m.ask()
	to <- prometheus.MustNewConstMetric(m.paused, prometheus.GaugeValue, truth(paused))
	for _, gate := range waiting {
		to <- prometheus.MustNewConstMetric(m.waiting, prometheus.GaugeValue, 1, gate)
	}
}
