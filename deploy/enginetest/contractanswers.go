package enginetest

import (
	"errors"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// sameAnswer reads services until nothing changes, and after a change of each kind.
func sameAnswer(s *scene) {
	engine := deploy.New(s.world.Swarm)
	var answer deploy.Answer
	read := func(what string, want int) {
		s.t.Helper()
		live, now, err := engine.ObserveChanged(s.t.Context(), s.world.Stack, answer)
		s.must(err)
		if (live == nil) != (now == answer) || now == (deploy.Answer{}) || want < 0 && live != nil || want >= 0 && (live == nil || len(live) != want) {
			s.t.Errorf("%s: %d services (none: %v), want %d; the answer is the last one: %v", what, len(live), live == nil, want, now == answer)
		}
		answer = now
	}
	settles := func() { // Swarm may note something about an update
		s.t.Helper()
		s.until(func() error {
			live, now, err := engine.ObserveChanged(s.t.Context(), s.world.Stack, answer)
			answer = now
			if live != nil {
				return errors.New("the answer is another one")
			}
			return err
		})
	}
	read("no service yet", 0)
	read("still none", -1)
	for _, short := range []string{"web", "b", "a", "db"} {
		s.create(short, all(replicas(0), func(spec *swarm.ServiceSpec) {
			spec.Labels["b"], spec.Labels["a"], spec.Labels["c"] = "1", "2", "3"
			spec.TaskTemplate.ContainerSpec.Labels = map[string]string{"x": "1", "a": "2", compose.LabelStack: s.world.Stack}
		}))
	}
	read("new services", 4)
	for range 3 {
		read("nothing new", -1)
	}
	s.update("web", func(spec *swarm.ServiceSpec) { spec.Labels["a"] = "b" })
	read("another label", 4)
	settles()
	s.update("web", replicas(1))
	s.untilTasks("web", 1, swarm.TaskStateRunning)
	s.until(func() error {
		live, now, err := engine.ObserveChanged(s.t.Context(), s.world.Stack, answer)
		if err != nil {
			return err
		}
		answer = now
		if web, given := live[s.name("web")]; given && web.ServiceStatus.RunningTasks == 1 {
			return nil
		}
		return errors.New("the new task is in no answer")
	})
	settles()
	s.must(s.world.Swarm.ServiceRemove(s.t.Context(), s.name("web")))
	read("a removed service", 3)

	stacks, all, err := engine.ObserveStacks(s.t.Context(), []string{s.world.Stack, "other"}, deploy.Answer{})
	s.must(err)
	if len(stacks[s.world.Stack]) != 3 || stacks["other"] == nil || all == (deploy.Answer{}) {
		s.t.Errorf("stacks %v", stacks)
	}
}
