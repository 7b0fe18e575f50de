package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"coin.internal/coin-agent/agent/record"
)

// totals collects what the state file counts of a stack's syncs, so that a restart of the
// agent resets no counter.
type totals struct {
	ask                                func() (record.Totals, error)
	syncs, rollbacks, took, back, lead *prometheus.Desc
}

func newTotals(ask func() (record.Totals, error)) totals {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return totals{
		ask:       ask,
		syncs:     desc("coin_agent_syncs_total", "Syncs by their result and by what started them.", "result", "trigger"),
		rollbacks: desc("coin_agent_rollbacks_total", "Rollbacks by their result: done, refused (nothing was written) or failed.", "result"),
		took:      desc("coin_agent_rollout_duration_seconds", "How long rollouts that succeeded worked, until the last service was healthy; without the wait for gates."),
		back:      desc("coin_agent_rollback_duration_seconds", "How long rollbacks that were done took."),
		lead:      desc("coin_agent_lead_time_seconds", "Time from the commit, or from the merge, until the last service was healthy."),
	}
}

// Describe is part of prometheus.Collector.
func (t totals) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{t.syncs, t.rollbacks, t.took, t.back, t.lead} {
		to <- desc
	}
}

// Collect is part of prometheus.Collector. Totals that cannot be read are left out: a zero
// would look like a reset.
func (t totals) Collect(to chan<- prometheus.Metric) {
	now, err := t.ask()
	if err != nil {
		return
	}
	count := func(desc *prometheus.Desc, value uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), labels...)
	}
	for _, result := range record.Results() {
		for _, trigger := range record.Triggers() {
			count(t.syncs, now.Syncs[result][trigger], string(result), string(trigger))
		}
	}
	for _, result := range record.RollbackResults() {
		count(t.rollbacks, now.Rollbacks[result], string(result))
	}
	for _, one := range []struct {
		desc   *prometheus.Desc
		of     record.Histogram
		bounds []float64
	}{
		{t.took, now.Rollout, record.RolloutBounds()},
		{t.back, now.Rollback, record.RolloutBounds()},
		{t.lead, now.Lead, record.LeadBounds()},
	} {
		if len(one.of.Buckets) != len(one.bounds) { // nothing was counted with these bounds
			one.of = record.Histogram{Buckets: make([]uint64, len(one.bounds))}
		}
		buckets := map[float64]uint64{}
		for i, bound := range one.bounds {
			buckets[bound] = one.of.Buckets[i]
		}
		to <- prometheus.MustNewConstHistogram(one.desc, one.of.Count, one.of.Sum, buckets)
	}
}

// Audit has each scrape ask for the number of the audit log's last entry, and how many
// entries after the last anchor each place outside of the node lacks.
func (m *Metrics) Audit(last func() uint64, unanchored func() map[string]int) {
	m.ofNode.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "coin_agent_audit_entries_total", Help: "The number of the audit log's last entry.",
	}, func() float64 { return float64(last()) }), scrapedGauge{
		prometheus.NewDesc("coin_agent_audit_unanchored_entries", "Entries of the audit log that a place outside of the node does not have the head of yet.", []string{"place"}, nil),
		func(set func(string, float64)) {
			for place, left := range unanchored() {
				set(place, float64(left))
			}
		},
	})
}

// times are the gauges of a stack that are times.
func times(source Source) []prometheus.Collector {
	at := func(set func(string, float64), label string, t time.Time) {
		if !t.IsZero() {
			set(label, float64(t.UnixMilli())/1000)
		}
	}
	return []prometheus.Collector{
		scrapedGauge{
			prometheus.NewDesc("coin_agent_sync_started_timestamp_seconds", "When the last sync began.", nil, nil),
			func(set func(string, float64)) {
				started, _ := source.Started()
				at(set, "", started)
			},
		},
		scrapedGauge{
			prometheus.NewDesc("coin_agent_working", "1 while a sync writes, or waits for services.", nil, nil),
			func(set func(string, float64)) {
				_, working := source.Started()
				set("", truth(working))
			},
		},
		scrapedGauge{
			prometheus.NewDesc("coin_agent_waiting_since_timestamp_seconds", "Since when a rollout waits for the gate.", []string{"gate"}, nil),
			func(set func(string, float64)) {
				_, waiting := source.Gates()
				for _, gate := range waiting {
					at(set, string(gate.Name), gate.Since)
				}
			},
		},
		scrapedGauge{
			prometheus.NewDesc("coin_agent_secret_created_timestamp_seconds", "When the live version of a secret was made.", []string{"secret"}, nil),
			func(set func(string, float64)) {
				for _, secret := range source.Ages() {
					at(set, secret.Secret, secret.Created)
				}
			},
		},
	}
}
