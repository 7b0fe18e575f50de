package agent

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/record"
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

	// Asked at each scrape; New sets them.
	inSync  func() bool
	reports func() int
}

// NewMetrics makes the metrics of one node.
func NewMetrics(environment, node, version string) *Metrics {
	labels := prometheus.Labels{"environment": environment, "node": node}
	m := &Metrics{
		registry: prometheus.NewRegistry(), labels: labels,
		inSync: func() bool { return false }, reports: func() int { return 0 },
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
	}, func() float64 { return truth(m.inSync()) })
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
	}, func() float64 { return float64(m.reports()) })
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

func (m *Metrics) phase(name string, seconds float64) {
	m.phases.WithLabelValues(name).Observe(seconds)
}

// notified counts an attempt to tell a kind of receiver of a rollout.
func (m *Metrics) notified(kind notify.Kind, result string) {
	m.notices.WithLabelValues(string(kind), result).Inc()
}

// wentBack counts what became of a sync's rollback, if it had one of its own.
func (m *Metrics) wentBack(sync *record.Sync) {
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

func (m *Metrics) drift(services int) { m.drifted.Set(float64(services)) }

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// ended sets the gauges after a sync, and at the start from the state file. A
// sync that is not over leaves the outcome of the one before it.
func (m *Metrics) ended(applied *record.GoodState, last *record.Sync) {
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

// HealthHandler answers /metrics, /healthz and /readyz.
func (a *Agent) HealthHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.Metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", a.healthz)
	mux.HandleFunc("GET /readyz", a.readyz)
	return mux
}
