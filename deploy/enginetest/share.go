package enginetest

import (
	"fmt"
	"reflect"

	"github.com/docker/docker/api/types/swarm"
)

// comparedAgain is how many specs are given until one is compared with what the engine keeps.
const comparedAgain = 50

// sharing gives copies of specs: if on, the same copy to all who ask. Those who ask must not change
// it then, but for the networks, whose IDs deploy replaces by names.
type sharing struct {
	on       bool
	services map[*swarm.ServiceSpec]*swarm.ServiceSpec
	tasks    map[*swarm.TaskSpec]*swarm.TaskSpec
	given    int
}

func newSharing(on bool) sharing {
	return sharing{on: on, services: map[*swarm.ServiceSpec]*swarm.ServiceSpec{}, tasks: map[*swarm.TaskSpec]*swarm.TaskSpec{}}
}

// service gives a copy of a service's spec.
func (s *sharing) service(spec *swarm.ServiceSpec) swarm.ServiceSpec {
	if !s.on {
		return cloneSpec(spec)
	}
	given := *shared(s, s.services, spec, cloneSpec)
	given.Networks, given.TaskTemplate.Networks = clone(given.Networks), clone(given.TaskTemplate.Networks) //nolint:staticcheck // old services have the deprecated field
	return given
}

// task gives a copy of a task's spec.
func (s *sharing) task(spec *swarm.TaskSpec) swarm.TaskSpec {
	if !s.on {
		return clone(*spec)
	}
	given := *shared(s, s.tasks, spec, func(spec *swarm.TaskSpec) swarm.TaskSpec { return clone(*spec) })
	given.Networks = clone(given.Networks)
	return given
}

// shared gives the copy of a spec, which is made the first time. It panics if a caller has
// changed it.
func shared[T any](s *sharing, known map[*T]*T, spec *T, copied func(*T) T) *T {
	found := known[spec]
	if found == nil {
		made := copied(spec)
		known[spec] = &made
		return &made
	}
	if s.given++; s.given%comparedAgain == 0 {
		if kept := copied(spec); !reflect.DeepEqual(*found, kept) {
			panic(fmt.Sprintf("enginetest: a caller changed what the engine gave it:\n%+v\nis to be\n%+v", *found, kept))
		}
	}
	return found
}
