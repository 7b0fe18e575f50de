package metrics

import (
	"encoding/json"

	"github.com/prometheus/client_golang/prometheus"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/checks"
)

// checkMetrics tell how the checks of the last sync that had some went.
type checkMetrics struct {
	ok      *prometheus.GaugeVec
	seconds *prometheus.GaugeVec
}

func newCheckMetrics(labels prometheus.Labels) *checkMetrics {
	return &checkMetrics{
		ok: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "coin_agent_check_ok", Help: "1 when the check passed after the last rollout, or after going back from it, 0 when it failed.", ConstLabels: labels,
		}, []string{"check"}),
		seconds: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "coin_agent_check_duration_seconds", Help: "Duration of the check's last attempt.", ConstLabels: labels,
		}, []string{"check"}),
	}
}

// ended takes over what a sync saw last: on the way back, if it took that. One
// without checks leaves what was seen before, unless it went back.
func (m *checkMetrics) ended(sync *record.Sync) {
	data, back := sync.Checks, sync.Rollback
	if back != nil && (sync.State == record.RolledBack || len(back.Checks) > 0) {
		data = back.Checks
	} else if len(data) == 0 {
		return
	}
	var results []checks.Result
	if sync.Unchanged || len(data) > 0 && json.Unmarshal(data, &results) != nil {
		return
	}
	m.told(results)
}

// told sets the metrics to what checks came to.
func (m *checkMetrics) told(results []checks.Result) {
	m.ok.Reset()
	m.seconds.Reset()
	for _, result := range results {
		m.ok.WithLabelValues(result.Name).Set(truth(result.OK))
		if result.Attempts > 0 {
			m.seconds.WithLabelValues(result.Name).Set(result.Seconds)
		}
	}
}

// Describe is the registry's.
func (m *checkMetrics) Describe(to chan<- *prometheus.Desc) {
	m.ok.Describe(to)
	m.seconds.Describe(to)
}

// Collect is the registry's.
func (m *checkMetrics) Collect(to chan<- prometheus.Metric) { m.ok.Collect(to); m.seconds.Collect(to) }
