// Package metrics takes what an agent did and what it can be asked, and gives the node's
// Prometheus metrics. Their names and labels are stable.
package metrics

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/visible"
)

// Metrics are the Prometheus metrics of one node.
type Metrics struct {
	registry   *prometheus.Registry
	ofNode     prometheus.Registerer
	pollErrors prometheus.Counter
	notices    *prometheus.CounterVec
	labels     prometheus.Labels

	mu     sync.Mutex
	stacks []*prometheus.Registry
}

// Stack are the metrics of one of the node's stacks. The first two have the names that the
// dashboards and alert rules of old use (seed 9.2 and 9.6).
type Stack struct {
	status       *prometheus.GaugeVec // without a value until a sync has ended
	version      *prometheus.GaugeVec
	drifted      prometheus.Gauge
	lastSuccess  prometheus.Gauge
	phases       *prometheus.HistogramVec
	removed      *prometheus.CounterVec // versions of secrets and configs
	kept         *prometheus.GaugeVec
	checkOK      *prometheus.GaugeVec
	checkSeconds *prometheus.GaugeVec
	of           *Metrics
	own          *prometheus.Registry
}

// Source is what is asked about a stack at each scrape. All functions are required.
type Source struct {
	InSync    func() bool                                 // the stack runs what the repository says
	Contested func() int                                  // drifted services that the agent leaves as they are
	Gates     func() (paused bool, waiting []record.Gate) // waiting: the gates that a rollout waits for
	Ages      func() []inventory.Age                      // of the secrets of the applied stack
	Totals    func() (record.Totals, error)
	Started   func() (last time.Time, working bool) // when the last sync began; zero before the first
	Rotations func() []inventory.Rotation           // of the applied stack
	Services  func() Services
	Soaking   func() bool // the soak time of the deployed good state runs
	Observes  bool        // the agent changes nothing on the engine
}

// Services is what is known of a stack's services.
type Services struct {
	Observed time.Time // when they were looked at last; zero before the first look
	Unknown  string    // why their state is not known now; "" while it is
	Of       []deploy.ServiceStatus
	Verdict  health.Verdict
}

// New makes the metrics of one node.
func New(environment, node, version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), labels: prometheus.Labels{"environment": environment, "node": node}}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	promauto.With(m.registry).NewGaugeVec(prometheus.GaugeOpts{Name: "coin_agent_build_info", Help: "1 for the version that runs."},
		[]string{"version"}).WithLabelValues(version).Set(1)
	m.ofNode = prometheus.WrapRegistererWith(m.labels, m.registry)
	_, counter := makers(m.ofNode)
	m.pollErrors = counter("coin_agent_poll_errors_total", "Looks at the remote or the engine that failed.").WithLabelValues()
	m.notices = counter("coin_agent_notices_total", "Attempts to send notices, by kind of receiver: sent, failed (tried again) or dropped (given up).", "receiver", "result")
	return m
}

// Reports has each scrape ask how many commit statuses GitLab has not taken.
func (m *Metrics) Reports(undelivered func() int) {
	scraped(m.ofNode, "coin_agent_undelivered_reports", "Commit statuses that GitLab has not taken yet.", func() float64 { return float64(undelivered()) })
}

// Tokens has each scrape ask when each GitLab token that expires does so, and whether each works,
// by its setting.
func (m *Metrics) Tokens(expire func() map[string]time.Time, usable func() map[string]bool) {
	m.ofNode.MustRegister(scrapedGauge{
		prometheus.NewDesc("coin_agent_token_usable", "Whether GitLab accepts a token, with the scope and role that the agent needs.", []string{"token"}, nil),
		func(set func(string, float64)) {
			for setting, works := range usable() {
				set(setting, truth(works))
			}
		},
	})
	m.ofNode.MustRegister(scrapedGauge{
		prometheus.NewDesc("coin_agent_token_expires_timestamp_seconds", "When a GitLab token expires.", []string{"token"}, nil),
		func(set func(string, float64)) {
			for setting, at := range expire() {
				set(setting, float64(at.Unix()))
			}
		},
	})
}

// Stack makes the metrics of a stack. They have its name as a label; the only stack of a
// node has no name.
func (m *Metrics) Stack(name string, source Source) *Stack {
	own := m.ofStack()
	register := prometheus.WrapRegistererWith(m.labels, own)
	if name != "" {
		register = prometheus.WrapRegistererWith(prometheus.Labels{"stack": name}, register)
	}
	gauge, counter := makers(register)
	s := &Stack{
		of: m, own: own,
		status:      gauge("deployment_status", "1 when the last sync succeeded or was a rollback by a user, 0 when it failed."),
		version:     gauge("deployment_version", "1 for the release that runs.", "release"),
		drifted:     gauge("coin_agent_drifted_services", "Live services that differ from what was applied.").WithLabelValues(),
		lastSuccess: gauge("coin_agent_last_success_timestamp_seconds", "When a sync last succeeded.").WithLabelValues(),
		phases: promauto.With(register).NewHistogramVec(prometheus.HistogramOpts{
			Name: "coin_agent_phase_duration_seconds", Help: "Duration of a sync's stages.",
			Buckets: []float64{.005, .02, .1, .5, 2, 10, 60, 300},
		}, []string{"phase"}),
		removed:      counter("coin_agent_removed_versions_total", "Old versions of secrets and configs that were removed.", "kind"),
		kept:         gauge("coin_agent_kept_versions", "Versions of secrets and configs that no service uses now and that stay.", "kind"),
		checkOK:      gauge("coin_agent_check_ok", "1 when the check passed after the last rollout or rollback, 0 when it failed.", "check"),
		checkSeconds: gauge("coin_agent_check_duration_seconds", "Duration of the check's last attempt.", "check"),
	}
	for _, kind := range []deploy.Kind{deploy.Secret, deploy.Config} {
		s.removed.WithLabelValues(string(kind))
	}
	ask(register, source)
	return s
}

// makers give the functions that make and register a gauge and a counter.
func makers(register prometheus.Registerer) (gauge func(name, help string, labels ...string) *prometheus.GaugeVec, counter func(name, help string, labels ...string) *prometheus.CounterVec) {
	with := promauto.With(register)
	gauge = func(name, help string, labels ...string) *prometheus.GaugeVec {
		return with.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	counter = func(name, help string, labels ...string) *prometheus.CounterVec {
		return with.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	return gauge, counter
}

// scraped registers a gauge whose value is asked at each scrape.
func scraped(register prometheus.Registerer, name, help string, value func() float64) {
	register.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// ask makes the metrics of a stack that are asked at each scrape.
func ask(register prometheus.Registerer, source Source) {
	scraped(register, "coin_agent_in_sync", "1 when the node runs what the repository says.", func() float64 { return truth(source.InSync()) })
	scraped(register, "coin_agent_contested_services", "Drifted services that another process changes back whenever the agent corrects them.", func() float64 { return float64(source.Contested()) })
	scraped(register, "coin_agent_paused", "1 while a user has paused the agent.", func() float64 {
		paused, _ := source.Gates()
		return truth(paused)
	})
	scraped(register, "coin_agent_observing", "1 for an agent that plans and reports, and changes nothing (mode: observe).", func() float64 { return truth(source.Observes) })
	scraped(register, "coin_agent_soaking", "1 while the soak time of the deployed good state runs.", func() float64 { return truth(source.Soaking()) })
	register.MustRegister(servicesGauges(source.Services)...)
	register.MustRegister(times(source)...)
	register.MustRegister(newTotals(source.Totals))
	register.MustRegister(scrapedGauge{
		prometheus.NewDesc("coin_agent_waiting", "1 for each gate that a rollout waits for.", []string{"gate"}, nil),
		func(set func(string, float64)) {
			_, waiting := source.Gates()
			for _, gate := range waiting {
				set(string(gate.Name), 1)
			}
		},
	}, scrapedGauge{
		prometheus.NewDesc("coin_agent_secret_rotation_overdue_seconds", "For how long a secret should have been rotated; 0 until then.", []string{"secret"}, nil),
		func(set func(string, float64)) {
			now := time.Now()
			for _, rotation := range source.Rotations() {
				set(rotation.Secret, rotation.Overdue(now).Seconds())
			}
		},
	})
}

// scrapedGauge is a gauge with one label, or with none, whose values are asked at each scrape.
type scrapedGauge struct {
	desc *prometheus.Desc
	ask  func(set func(label string, value float64))
}

// Describe is part of prometheus.Collector.
func (g scrapedGauge) Describe(to chan<- *prometheus.Desc) { to <- g.desc }

// Collect is part of prometheus.Collector.
func (g scrapedGauge) Collect(to chan<- prometheus.Metric) {
	g.ask(func(label string, value float64) {
		var labels []string
		if label != "" {
			labels = []string{label}
		}
		to <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, value, labels...)
	})
}

// Phase notes the duration of a stage.
func (s *Stack) Phase(name string, seconds float64) {
	s.phases.WithLabelValues(name).Observe(seconds)
}

// Notified counts an attempt to send a notice to a kind of receiver.
func (m *Metrics) Notified(kind notify.Kind, result string) {
	m.notices.WithLabelValues(string(kind), result).Inc()
}

// PollFailed counts a look at the remote or the engine that failed.
func (m *Metrics) PollFailed() { m.pollErrors.Inc() }

// Drift sets the number of drifted services.
func (s *Stack) Drift(services int) { s.drifted.Set(float64(services)) }

// Surveyed sets the metrics after a survey of the versions of secrets and configs.
func (s *Stack) Surveyed(survey *inventory.Survey) {
	for _, version := range survey.Removed {
		s.removed.WithLabelValues(string(version.Kind)).Inc()
	}
	for _, kind := range []deploy.Kind{deploy.Secret, deploy.Config} {
		s.kept.WithLabelValues(string(kind)).Set(float64(survey.Kept(kind)))
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// Ended sets the gauges after a sync, and at the start from the state file. A
// sync that is not over, or that another one replaced, leaves the outcome of the one before it.
func (s *Stack) Ended(applied *record.GoodState, last *record.Sync) {
	if applied != nil {
		s.version.Reset()
		s.version.WithLabelValues(visible.Line(applied.Release)).Set(1)
		s.lastSuccess.Set(float64(applied.At.Unix()))
	}
	if last != nil && record.Ended(last) {
		byUser := last.State == record.RolledBack && last.Rollback != nil && !last.Rollback.Auto
		s.status.WithLabelValues().Set(truth(last.State == record.Succeeded || byUser))
		s.checksEnded(last)
	}
}

// Handler answers a scrape.
func (m *Metrics) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		promhttp.HandlerFor(m.all(), promhttp.HandlerOpts{}).ServeHTTP(w, r)
	})
}

// checksEnded takes over the results of the checks that a sync saw last: in its rollback,
// if it had one. One without checks leaves what was seen before, unless it rolled back.
func (s *Stack) checksEnded(sync *record.Sync) {
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
	s.Checked(results)
}

// Checked sets the metrics to the results of checks.
func (s *Stack) Checked(results []checks.Result) {
	s.checkOK.Reset()
	s.checkSeconds.Reset()
	for _, result := range results {
		name := visible.Line(result.Name)
		s.checkOK.WithLabelValues(name).Set(truth(result.OK))
		if result.Attempts > 0 {
			s.checkSeconds.WithLabelValues(name).Set(result.Seconds)
		}
	}
}
