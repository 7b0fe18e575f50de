// Package metrics takes what an agent did and what it can be asked, and gives the node's
// Prometheus metrics. Their names and labels are stable.
package metrics

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/checks"
)

// Metrics are the agent's Prometheus metrics. The first two have the names that
// the dashboards and alert rules of old use (seed 9.2 and 9.6).
type Metrics struct {
	registry *prometheus.Registry
	labels   prometheus.Labels

	status      *prometheus.GaugeVec // without a value until a sync has ended
	version     *prometheus.GaugeVec
	drifted     prometheus.Gauge
	lastSuccess prometheus.Gauge
	phases      *prometheus.HistogramVec
	pollErrors  prometheus.Counter
	notices     *prometheus.CounterVec
	secrets     *versionMetrics
	checks      *checkMetrics
	gates       *gateMetrics
	rollbacks   *prometheus.CounterVec

	source Source
}

// Source is asked at each scrape. All fields are required.
type Source struct {
	InSync      func() bool                            // the node runs what the repository says
	Undelivered func() int                             // commit statuses that GitLab has not taken
	Gates       func() (paused bool, waiting []string) // waiting: the gates that a rollout waits for
	Rotations   func() []inventory.Rotation            // of the applied stack
}

// Ask sets what is asked at each scrape.
func (m *Metrics) Ask(source Source) {
	m.source, m.gates.ask, m.secrets.rotations = source, source.Gates, source.Rotations
}

// New makes the metrics of one node.
func New(environment, node, version string) *Metrics {
	labels := prometheus.Labels{"environment": environment, "node": node}
	m := &Metrics{
		registry: prometheus.NewRegistry(), labels: labels,
		source: Source{InSync: func() bool { return false }, Undelivered: func() int { return 0 }},
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels})
	}
	m.status = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "deployment_status", Help: "1 when the last sync succeeded, 0 when it failed.", ConstLabels: labels,
	}, nil)
	m.version = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "deployment_version", Help: "1 for the release that runs.", ConstLabels: labels,
	}, []string{"release"})
	inSync := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "coin_agent_in_sync", Help: "1 when the node runs what the repository says.", ConstLabels: labels,
	}, func() float64 { return truth(m.source.InSync()) })
	m.drifted = gauge("coin_agent_drifted_services", "Live services that differ from what was applied.")
	m.lastSuccess = gauge("coin_agent_last_success_timestamp_seconds", "When a sync last succeeded.")
	m.phases = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "coin_agent_phase_duration_seconds", Help: "Duration of a sync's stages.", ConstLabels: labels,
		Buckets: []float64{.005, .02, .1, .5, 2, 10, 60, 300},
	}, []string{"phase"})
	m.pollErrors = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "coin_agent_poll_errors_total", Help: "Looks at the remote or the engine that failed.", ConstLabels: labels,
	})
	undelivered := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "coin_agent_undelivered_reports", Help: "Commit statuses that GitLab has not taken yet.", ConstLabels: labels,
	}, func() float64 { return float64(m.source.Undelivered()) })
	m.secrets = newVersionMetrics(labels)
	m.checks, m.gates = newCheckMetrics(labels), newGateMetrics(labels)
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "coin_agent_build_info", Help: "1 for the version that runs.", ConstLabels: prometheus.Labels{"version": version}})
	build.Set(1)
	m.notices = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "coin_agent_notices_total", Help: "Attempts to tell people of rollouts, by kind of receiver: sent, failed (tried again) or dropped (given up).", ConstLabels: labels,
	}, []string{"receiver", "result"})
	m.rollbacks = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "coin_agent_rollbacks_total", Help: "Rollbacks, by what became of them: done, refused (nothing was touched) or failed.", ConstLabels: labels,
	}, []string{"result"})
	for _, result := range []string{"done", "refused", "failed"} {
		m.rollbacks.WithLabelValues(result)
	}
	m.registry.MustRegister(m.notices, m.rollbacks)
	m.registry.MustRegister(m.status, m.version, inSync, m.drifted, m.lastSuccess, m.phases, m.pollErrors, undelivered, build, m.secrets, m.checks, m.gates,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Phase notes the duration of a stage.
func (m *Metrics) Phase(name string, seconds float64) {
	m.phases.WithLabelValues(name).Observe(seconds)
}

// Notified counts an attempt to send a notice to a kind of receiver.
func (m *Metrics) Notified(kind notify.Kind, result string) {
	m.notices.WithLabelValues(string(kind), result).Inc()
}

// RolledBack counts the outcome of a sync's rollback, if it had one of its own.
func (m *Metrics) RolledBack(sync *record.Sync) {
	back := sync.Rollback
	switch {
	case back == nil || sync.Unchanged || !back.Over() || !back.Resumed.IsZero():
	case back.Refused != "":
		m.rollbacks.WithLabelValues("refused").Inc()
	case back.Error != "":
		m.rollbacks.WithLabelValues("failed").Inc()
	default:
		m.rollbacks.WithLabelValues("done").Inc()
	}
}

// PollFailed counts a look at the remote or the engine that failed.
func (m *Metrics) PollFailed() { m.pollErrors.Inc() }

// Drift sets the number of drifted services.
func (m *Metrics) Drift(services int) { m.drifted.Set(float64(services)) }

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// Ended sets the gauges after a sync, and at the start from the state file. A
// sync that is not over leaves the outcome of the one before it.
func (m *Metrics) Ended(applied *record.GoodState, last *record.Sync) {
	if applied != nil {
		m.version.Reset()
		m.version.WithLabelValues(applied.Release).Set(1)
		m.lastSuccess.Set(float64(applied.At.Unix()))
	}
	if last != nil && last.State.Final() {
		m.status.WithLabelValues().Set(truth(last.State == record.Succeeded))
		m.checks.ended(last)
	}
}

// Checked sets the metrics to the results of checks.
func (m *Metrics) Checked(results []checks.Result) { m.checks.told(results) }

// Handler answers a scrape.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
