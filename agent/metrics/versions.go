package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/deploy"
)

// versionMetrics tell of the versions of secrets and configs.
type versionMetrics struct {
	removed *prometheus.CounterVec
	kept    *prometheus.GaugeVec
	overdue *prometheus.Desc

	rotations func() []inventory.Rotation // asked at each scrape
}

func newVersionMetrics(labels prometheus.Labels) *versionMetrics {
	m := &versionMetrics{
		removed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "coin_agent_removed_versions_total", Help: "Old versions of secrets and configs that were removed.", ConstLabels: labels,
		}, []string{"kind"}),
		kept: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "coin_agent_kept_versions", Help: "Versions of secrets and configs that no service uses now and that stay.", ConstLabels: labels,
		}, []string{"kind"}),
		overdue: prometheus.NewDesc("coin_agent_secret_rotation_overdue_seconds",
			"For how long a secret should have been rotated; 0 until then.", []string{"secret"}, labels),
		rotations: func() []inventory.Rotation { return nil },
	}
	for _, kind := range []deploy.Kind{deploy.Secret, deploy.Config} {
		m.removed.WithLabelValues(string(kind))
	}
	return m
}

// Describe is part of prometheus.Collector.
func (m *versionMetrics) Describe(descs chan<- *prometheus.Desc) {
	m.removed.Describe(descs)
	m.kept.Describe(descs)
	descs <- m.overdue
}

// Collect is part of prometheus.Collector.
func (m *versionMetrics) Collect(metrics chan<- prometheus.Metric) {
	m.removed.Collect(metrics)
	m.kept.Collect(metrics)
	now := time.Now()
	for _, rotation := range m.rotations() {
		metrics <- prometheus.MustNewConstMetric(m.overdue, prometheus.GaugeValue, rotation.Overdue(now).Seconds(), rotation.Secret)
	}
}

// Surveyed sets the metrics after a survey.
func (m *Metrics) Surveyed(s *inventory.Survey) {
	for _, version := range s.Removed {
		m.secrets.removed.WithLabelValues(string(version.Kind)).Inc()
	}
	for _, kind := range []deploy.Kind{deploy.Secret, deploy.Config} {
		m.secrets.kept.WithLabelValues(string(kind)).Set(float64(s.Kept(kind)))
	}
}
