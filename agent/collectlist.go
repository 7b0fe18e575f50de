package agent

import (
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
)

// Rotation is when a secret of the applied stack is to be rotated.
type Rotation struct {
	Secret  string    `json:"secret"` // its name in the compose file
	Name    string    `json:"name"`   // of the live version
	Created time.Time `json:"created"`
	Due     time.Time `json:"due"`
}

// Overdue is for how long the rotation is overdue; 0 when it is not.
func (r Rotation) Overdue(now time.Time) time.Duration { return max(now.Sub(r.Due), 0) }

// rotations lists the secrets that are to be rotated at some time.
func (s *Survey) rotations() []Rotation {
	var all []Rotation
	for _, object := range s.applied.Secrets {
		at := slices.IndexFunc(s.Versions, func(v deploy.Version) bool { return v.Kind == deploy.Secret && v.Name == object.Name })
		if object.Rotate > 0 && at >= 0 {
			created := s.Versions[at].Created
			all = append(all, Rotation{Secret: object.Key, Name: object.Name, Created: created, Due: created.Add(object.Rotate)})
		}
	}
	return all
}

// overdue are the rotations whose time has come.
func overdue(rotations []Rotation, now time.Time) []Rotation {
	return slices.DeleteFunc(slices.Clone(rotations), func(r Rotation) bool { return r.Overdue(now) == 0 })
}

// ListedSecret is one secret with its live version and the others.
type ListedSecret struct {
	Secret  string           `json:"secret"`         // its name in the compose file; in Swarm, where it has left the files
	Live    *deploy.Version  `json:"live,omitempty"` // the version of the applied stack; none once it has left the files
	Due     time.Time        `json:"due,omitzero"`   // when it is to be rotated
	Overdue bool             `json:"overdue"`
	Others  []deploy.Version `json:"others,omitempty"` // the newest first
}

// listed gives the secrets by name, the versions of each together.
func (s *Survey) listed() []ListedSecret {
	applied := map[string]record.Object{}
	for _, object := range s.applied.Secrets {
		applied[object.Name] = object
	}
	due := map[string]Rotation{}
	for _, rotation := range s.rotations() {
		due[rotation.Name] = rotation
	}
	list := []ListedSecret{}
	byKey := map[string]int{}
	for _, version := range s.Versions {
		if version.Kind != deploy.Secret {
			continue
		}
		at, listed := byKey[version.Key]
		if !listed {
			at, byKey[version.Key] = len(list), len(list)
			list = append(list, ListedSecret{Secret: version.Key})
		}
		one := &list[at]
		object, live := applied[version.Name]
		if !live || one.Live != nil {
			one.Others = append(one.Others, version)
			continue
		}
		one.Live = &version
		if object.Key != "" {
			one.Secret = object.Key
		}
		if rotation, ok := due[version.Name]; ok {
			one.Due, one.Overdue = rotation.Due, rotation.Overdue(s.At) > 0
		}
	}
	slices.SortStableFunc(list, func(a, b ListedSecret) int { return strings.Compare(a.Secret, b.Secret) })
	return list
}

// versionMetrics tell of the versions of secrets and configs.
type versionMetrics struct {
	removed *prometheus.CounterVec
	kept    *prometheus.GaugeVec
	overdue *prometheus.Desc

	rotations func() []Rotation // asked at each scrape
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
		rotations: func() []Rotation { return nil },
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

// versions sets the metrics after a survey.
func (m *Metrics) versions(s *Survey) {
	for _, version := range s.Removed {
		m.secrets.removed.WithLabelValues(string(version.Kind)).Inc()
	}
	for _, kind := range []deploy.Kind{deploy.Secret, deploy.Config} {
		kept := 0
		for _, version := range s.Versions {
			if version.Kind == kind && version.Owner == s.keep.Owner && len(version.Uses) == 0 {
				kept++
			}
		}
		m.secrets.kept.WithLabelValues(string(kind)).Set(float64(kept))
	}
}
