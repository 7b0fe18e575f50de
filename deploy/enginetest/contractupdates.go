package enginetest

import (
	"fmt"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"
)

// updateTests are about updates that go well.
func updateTests() []contractTest {
	return []contractTest{
		{"an update replaces tasks and is completed after its monitor time", goodUpdate},
		{"an update of labels and settings replaces no task", idleUpdate},
		{"a placement that still holds replaces no task", placementUpdate},
		{"another endpoint replaces tasks", endpointUpdate},
		{"the old task of start-first runs until the new one does", startFirst},
		{"an update goes from slot to slot", slotAfterSlot},
		{"an update that comes during another one takes over", overtakingUpdate},
		{"a user's rollback swaps the specs", userRollback},
	}
}

func goodUpdate(s *scene) {
	s.create("web", nil)
	old := s.untilTasks("web", 1, swarm.TaskStateRunning)[0]
	before := s.service("web")
	s.update("web", all(imageIs(s.world.Images[1]), func(spec *swarm.ServiceSpec) { spec.UpdateConfig.Monitor = 5 * time.Second }))
	during := s.untilUpdate("web", swarm.UpdateStateUpdating)
	if during.UpdateStatus.Message != "update in progress" || during.UpdateStatus.StartedAt == nil || during.UpdateStatus.CompletedAt != nil {
		s.t.Errorf("status %+v", during.UpdateStatus)
	}
	s.until(func() error {
		running := inState(s.tasks("web"), swarm.TaskStateRunning)
		if len(running) != 1 || running[0].Spec.ContainerSpec.Image != s.world.Images[1] {
			return errLeft(s.tasks("web"))
		}
		return nil
	})
	if still := s.service("web"); still.UpdateStatus == nil || still.UpdateStatus.State != swarm.UpdateStateUpdating {
		s.t.Errorf("as soon as the task runs: %+v", still.UpdateStatus)
	}
	after := s.untilUpdate("web", swarm.UpdateStateCompleted)
	if after.UpdateStatus.Message != "update completed" || after.UpdateStatus.CompletedAt == nil || after.Version.Index <= during.Version.Index ||
		after.PreviousSpec == nil || !cmp.Equal(*after.PreviousSpec, before.Spec) {
		s.t.Errorf("service %+v, status %+v", after, after.UpdateStatus)
	}
	tasks := s.tasks("web")
	if len(tasks) != 2 || tasks[0].ID != old.ID || tasks[0].DesiredState != swarm.TaskStateShutdown || tasks[0].Status.State != swarm.TaskStateShutdown ||
		tasks[1].Slot != old.Slot {
		s.t.Errorf("tasks %s", describe(tasks))
	}
}

// unmoved waits for a moment of the engine's, and expects the tasks that there were.
func (s *scene) unmoved(short string, before []swarm.Task) {
	s.t.Helper()
	// What comes after it on the engine's way shows that the change was acted on.
	s.create("mark", nil)
	s.untilTasks("mark", 1, swarm.TaskStateRunning)
	s.must(s.world.Swarm.ServiceRemove(s.t.Context(), s.service("mark").ID))
	after := s.tasks(short)
	if diff := cmp.Diff(ids(before), ids(after)); diff != "" || after[0].DesiredState != swarm.TaskStateRunning {
		s.t.Errorf("tasks %s:\n%s", describe(after), diff)
	}
	if status := s.service(short).UpdateStatus; status != nil {
		s.t.Errorf("update %+v", status)
	}
}

func idleUpdate(s *scene) {
	s.create("web", nil)
	tasks := s.untilTasks("web", 1, swarm.TaskStateRunning)
	s.update("web", func(spec *swarm.ServiceSpec) { spec.Labels["a"] = "b" })
	s.update("web", onFailure("rollback"))
	s.update("web", func(spec *swarm.ServiceSpec) { spec.RollbackConfig = nil })
	s.unmoved("web", tasks)
}

func placementUpdate(s *scene) {
	s.create("web", nil)
	tasks := s.untilTasks("web", 1, swarm.TaskStateRunning)
	s.update("web", func(spec *swarm.ServiceSpec) {
		spec.TaskTemplate.Placement = &swarm.Placement{Constraints: []string{"node.role==manager"}}
	})
	s.unmoved("web", tasks)
	s.update("web", func(spec *swarm.ServiceSpec) {
		spec.TaskTemplate.Placement.Platforms = []swarm.Platform{{Architecture: "x86_64", OS: "linux"}}
	})
	s.unmoved("web", tasks)
}

func endpointUpdate(s *scene) {
	s.create("web", nil)
	s.untilTasks("web", 1, swarm.TaskStateRunning)
	s.update("web", func(spec *swarm.ServiceSpec) {
		spec.EndpointSpec = &swarm.EndpointSpec{Mode: swarm.ResolutionModeDNSRR}
	})
	s.untilUpdate("web", swarm.UpdateStateCompleted)
	if tasks := s.tasks("web"); len(tasks) != 2 {
		s.t.Errorf("tasks %s", describe(tasks))
	}
}

func startFirst(s *scene) {
	s.create("web", func(spec *swarm.ServiceSpec) {
		spec.UpdateConfig.Order = swarm.UpdateOrderStartFirst
		spec.TaskTemplate.ContainerSpec.Healthcheck = quickCheck()
	})
	old := s.untilTasks("web", 1, swarm.TaskStateRunning)[0]
	s.update("web", all(env("A=1"), func(spec *swarm.ServiceSpec) { spec.TaskTemplate.ContainerSpec.Healthcheck.Interval = 2 * time.Second }))
	s.until(func() error {
		tasks := s.tasks("web")
		if len(tasks) != 2 || tasks[1].Status.State != swarm.TaskStateStarting {
			return errLeft(tasks)
		}
		if tasks[0].ID != old.ID || tasks[0].DesiredState != swarm.TaskStateRunning || tasks[0].Status.State != swarm.TaskStateRunning {
			s.t.Errorf("while the new one starts: %s", describe(tasks))
		}
		return nil
	})
	s.untilUpdate("web", swarm.UpdateStateCompleted)
	s.until(func() error {
		if tasks := s.tasks("web"); tasks[0].Status.State != swarm.TaskStateShutdown || tasks[1].Status.State != swarm.TaskStateRunning {
			return errLeft(tasks)
		}
		return nil
	})
}

func slotAfterSlot(s *scene) {
	s.create("web", replicas(2))
	s.untilTasks("web", 2, swarm.TaskStateRunning)
	s.update("web", all(env("A=1"), func(spec *swarm.ServiceSpec) { spec.UpdateConfig.Delay = 3 * time.Second }))
	s.until(func() error { // one is new, and the other one is untouched
		fresh, old := 0, 0
		for _, one := range s.tasks("web") {
			switch {
			case one.DesiredState != swarm.TaskStateRunning:
			case len(one.Spec.ContainerSpec.Env) == 0:
				old++
			case one.Status.State == swarm.TaskStateRunning:
				fresh++
			}
		}
		if fresh != 1 || old != 1 {
			return fmt.Errorf("tasks %s", describe(s.tasks("web")))
		}
		return nil
	})
	s.untilUpdate("web", swarm.UpdateStateCompleted)
	for _, one := range inState(s.tasks("web"), swarm.TaskStateRunning) {
		if len(one.Spec.ContainerSpec.Env) == 0 {
			s.t.Errorf("tasks %s", describe(s.tasks("web")))
		}
	}
}

func overtakingUpdate(s *scene) {
	s.create("web", nil)
	s.untilTasks("web", 1, swarm.TaskStateRunning)
	s.update("web", all(env("A=1"), func(spec *swarm.ServiceSpec) { spec.UpdateConfig.Monitor = time.Hour }))
	s.untilUpdate("web", swarm.UpdateStateUpdating)
	s.update("web", all(env("A=2"), func(spec *swarm.ServiceSpec) { spec.UpdateConfig.Monitor = 100 * time.Millisecond }))
	s.untilUpdate("web", swarm.UpdateStateCompleted)
	for _, one := range s.untilTasks("web", 1, swarm.TaskStateRunning) {
		if one.DesiredState == swarm.TaskStateRunning && !cmp.Equal(one.Spec.ContainerSpec.Env, []string{"A=2"}) {
			s.t.Errorf("tasks %s", describe(s.tasks("web")))
		}
	}
}

func userRollback(s *scene) {
	s.create("web", nil)
	s.untilTasks("web", 1, swarm.TaskStateRunning)
	before := s.service("web")
	s.update("web", env("A=1"))
	after := s.untilUpdate("web", swarm.UpdateStateCompleted)
	_, err := s.world.Swarm.ServiceUpdate(s.t.Context(), after.ID, after.Version, after.Spec, swarm.ServiceUpdateOptions{Rollback: "previous"})
	s.must(err)
	back := s.untilUpdate("web", swarm.UpdateStateRollbackCompleted)
	if !cmp.Equal(back.Spec, before.Spec) || back.PreviousSpec == nil || !cmp.Equal(*back.PreviousSpec, after.Spec) {
		s.t.Errorf("service %+v", back)
	}
	if running := s.untilTasks("web", 1, swarm.TaskStateRunning); len(running[0].Spec.ContainerSpec.Env) > 0 {
		s.t.Errorf("tasks %s", describe(running))
	}
}
