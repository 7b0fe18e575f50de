package simulation_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/docker/docker/api/types/swarm"
)

// correction is a field that a correction of drift put back.
type correction struct {
	Service string `json:"service"`
	Field   string `json:"field"`
	To      string `json:"to"`
}

// contest has another process set a value again for some minutes, as an autoscaler does.
func (w *world) contest() {
	service, count := []string{"s_web", "s_worker"}[w.random.IntN(2)], 5+w.random.Uint64N(3)
	for range 3 + w.random.IntN(6) {
		w.meddle(service, fmt.Sprintf("another process scales to %d", count), func(spec *swarm.ServiceSpec) {
			spec.Mode = swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &count}}
		})
		w.pass(interval + interval/6)
	}
}

// wrote reports whether a sync wrote to the engine. One that shares the outcome of a rollback
// has a copy of its record.
func (a *attempt) wrote() bool {
	return !a.Unchanged && (a.Wrote || a.Rollback != nil && a.Rollback.Wrote)
}

// checkContests demands that a field is put back no more often than it may: after three times
// within ten minutes not for an hour, unless another sync wrote in between; and that no other
// service is left as it is.
func (w *world) checkContests(syncs []attempt, contested []string) {
	times, often := map[correction][]time.Time{}, map[string]bool{}
	for i := range slices.Backward(syncs) {
		one := &syncs[i]
		if one.wrote() && len(one.Corrects) == 0 {
			clear(times)
			clear(often)
		}
		if !one.wrote() {
			continue
		}
		for _, field := range one.Corrects {
			at := append(times[field], one.Started)
			times[field] = at
			n := len(at)
			if n >= 3 && at[n-1].Sub(at[n-3]) <= 10*time.Minute {
				often[field.Service] = true
			}
			if n >= 4 && at[n-2].Sub(at[n-4]) <= 10*time.Minute && at[n-1].Sub(at[n-2]) < time.Hour {
				w.fail("%s of %s is put back to %s again %s after three times", field.Field, field.Service, field.To, at[n-1].Sub(at[n-2]))
			}
		}
	}
	for _, service := range contested {
		if !often[service] {
			w.fail("%s counts as contested, and was not put back three times", service)
		}
	}
}

// justOver reports whether the hour in which a contested service is left alone has ended so short a
// time ago that there may have been no look since.
func justOver(syncs []attempt, service string) bool {
	for i := range syncs { // the newest first
		one := &syncs[i]
		if one.wrote() && slices.ContainsFunc(one.Corrects, func(field correction) bool { return field.Service == service }) {
			since := time.Since(one.Started) - time.Hour
			return since >= 0 && since < 2*interval
		}
	}
	return false
}
