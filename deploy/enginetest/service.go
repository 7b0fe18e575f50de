package enginetest

import (
	"reflect"
	"slices"
	"time"

	"github.com/docker/docker/api/types/swarm"
)

// service is a service in Swarm's store. Its specs are as the engine keeps them, and
// are never changed: each update brings another one.
type service struct {
	id               string
	version          uint64
	created, updated time.Time

	spec            *swarm.ServiceSpec
	specVersion     uint64
	previous        *swarm.ServiceSpec
	previousVersion uint64
	status          *swarm.UpdateStatus // never changed, either
	allocated       *swarm.EndpointSpec // what Swarm has given it, a little after it was asked for

	iteration uint64 // of a job
	executed  time.Time

	removed  bool
	planned  bool    // a reconciliation is about to come
	tasks    []*task // those that Swarm keeps, the oldest first
	updater  *updater
	restarts map[slot]*restartHistory
}

func (s *service) job() bool {
	return s.spec.Mode.ReplicatedJob != nil || s.spec.Mode.GlobalJob != nil
}

func (s *service) global() bool { return s.spec.Mode.Global != nil || s.spec.Mode.GlobalJob != nil }

// inSlot lists the tasks of a slot, the oldest first.
func (s *service) inSlot(in slot) []*task {
	var found []*task
	for _, t := range s.tasks {
		if t.slot() == in {
			found = append(found, t)
		}
	}
	return found
}

// writeService stores a change of a service, which the orchestrator acts on.
func (e *Engine) writeService(s *service, change func()) {
	before := *s
	change()
	s.version, s.updated = e.nextVersion(), e.now()
	e.tellUpdate(&before, s)
	e.reconcileSoon(s)
	if s.spec.EndpointSpec != before.spec.EndpointSpec {
		e.after(orchestrates, func() { s.allocated = s.spec.EndpointSpec })
	}
}

// createService stores a new service.
func (e *Engine) createService(spec *swarm.ServiceSpec) *service {
	s := &service{
		id: e.newID("service", spec.Name), version: e.nextVersion(), created: e.now(), updated: e.now(), spec: spec,
		restarts: map[slot]*restartHistory{},
	}
	if s.job() {
		s.executed = e.now()
	}
	e.services[s.id] = s
	e.after(orchestrates, func() { s.allocated = s.spec.EndpointSpec })
	e.tellService("create", s)
	e.reconcileSoon(s)
	return s
}

// updateService puts another spec in place of a service's, as a user's update does.
func (e *Engine) updateService(s *service, version uint64, spec *swarm.ServiceSpec) {
	e.writeService(s, func() {
		s.previous, s.previousVersion = s.spec, s.specVersion
		s.spec, s.specVersion = spec, version
		s.status = nil
		if s.job() {
			s.iteration++
			s.executed = e.now()
		}
	})
}

// removeService forgets a service. Its tasks stay until they have stopped.
func (e *Engine) removeService(s *service) {
	delete(e.services, s.id)
	s.removed = true
	if s.updater != nil {
		s.updater.cancel()
	}
	e.tellService("remove", s)
	e.after(orchestrates, func() {
		for _, t := range slices.Clone(s.tasks) {
			e.want(t, stageRemove)
		}
	})
}

// setStatus stores another state of a service's update.
func (e *Engine) setStatus(s *service, change func(*swarm.UpdateStatus)) {
	e.writeService(s, func() {
		status := swarm.UpdateStatus{}
		if s.status != nil {
			status = *s.status
		}
		change(&status)
		s.status = &status
	})
}

// inState reports whether a service's update is in one of the states.
func (s *service) inState(states ...swarm.UpdateState) bool {
	return s.status != nil && slices.Contains(states, s.status.State)
}

// dirty reports whether a task is to be replaced, since its service is another now.
// Placement that still holds is no reason.
func (e *Engine) dirty(s *service, t *task) bool {
	if t.specVersion == s.specVersion {
		return false
	}
	want := s.spec.TaskTemplate
	if !reflect.DeepEqual(want.Placement, t.spec.Placement) {
		placed := want
		placed.Placement = t.spec.Placement
		if reflect.DeepEqual(&placed, t.spec) && t.node != nil && t.node.satisfies(want.Placement) {
			return false
		}
		return true
	}
	return !reflect.DeepEqual(&want, t.spec) || !reflect.DeepEqual(s.spec.EndpointSpec, t.endpoint)
}
