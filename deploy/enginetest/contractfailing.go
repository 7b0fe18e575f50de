package enginetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"
)

// failingUpdateTests are about updates whose tasks do not stay.
func failingUpdateTests() []contractTest {
	return []contractTest{
		{"an update that fails is paused, and the other slots stay", pausedUpdate},
		{"an update that fails goes on with the action continue", continuedUpdate},
		{"an update that fails is rolled back, whole", rolledBackUpdate},
		{"a rollback that fails is paused", failingRollback},
		{"a one-shot whose update is rolled back runs its old spec again", oneShotRolledBack},
		{"a failure after the monitor time is no failure of the update", lateFailure},
	}
}

// watched sets a monitor time within which even a slow engine notices that a task has
// ended.
func watched(spec *swarm.ServiceSpec) { spec.UpdateConfig.Monitor = time.Minute }

func pausedUpdate(s *scene) {
	s.create("web", replicas(2))
	s.untilTasks("web", 2, swarm.TaskStateRunning)
	before := s.service("web")
	s.update("web", all(env("CRASH_AFTER=1ms"), watched, func(spec *swarm.ServiceSpec) { spec.UpdateConfig.Delay = 30 * time.Second }))
	after := s.untilUpdate("web", swarm.UpdateStatePaused)
	var failed swarm.Task
	old := 0
	for _, one := range s.tasks("web") {
		if len(one.Spec.ContainerSpec.Env) == 0 && one.DesiredState == swarm.TaskStateRunning {
			old++
		}
		if strings.HasSuffix(after.UpdateStatus.Message, one.ID) {
			failed = one
		}
	}
	if old != 1 || failed.ID == "" || after.UpdateStatus.Message != "update paused due to failure or early termination of task "+failed.ID {
		s.t.Errorf("status %+v, tasks %s", after.UpdateStatus, describe(s.tasks("web")))
	}
	if cmp.Equal(after.Spec, before.Spec) || after.PreviousSpec == nil || !cmp.Equal(*after.PreviousSpec, before.Spec) || after.UpdateStatus.CompletedAt != nil {
		s.t.Errorf("service %+v", after)
	}
	s.untilTasks("web", 2, swarm.TaskStateFailed) // the slot goes on to crash
	s.update("web", all(env("A=1"), func(spec *swarm.ServiceSpec) {
		spec.UpdateConfig = &swarm.UpdateConfig{Monitor: 100 * time.Millisecond}
	}))
	s.untilUpdate("web", swarm.UpdateStateCompleted)
	if running := s.untilTasks("web", 2, swarm.TaskStateRunning); len(running) != 2 {
		s.t.Errorf("tasks %s", describe(running))
	}
}

func continuedUpdate(s *scene) {
	s.create("web", onFailure("continue"))
	s.untilTasks("web", 1, swarm.TaskStateRunning)
	s.update("web", env("CRASH_AFTER=1ms"))
	s.untilUpdate("web", swarm.UpdateStateCompleted)
	s.untilTasks("web", 2, swarm.TaskStateFailed)
}

func rolledBackUpdate(s *scene) {
	s.create("web", all(onFailure("rollback"), watched))
	s.untilTasks("web", 1, swarm.TaskStateRunning)
	before := s.service("web")
	s.update("web", all(env("CRASH_AFTER=1ms"), func(spec *swarm.ServiceSpec) { spec.Labels["a"] = "b" }))
	after := s.untilUpdate("web", swarm.UpdateStateRollbackCompleted)
	if !cmp.Equal(after.Spec, before.Spec) || after.PreviousSpec != nil || after.UpdateStatus.Message != "rollback completed" || after.UpdateStatus.CompletedAt == nil {
		s.t.Errorf("service %+v, status %+v", after, after.UpdateStatus)
	}
	running := s.untilTasks("web", 1, swarm.TaskStateRunning)
	if len(running) != 1 || len(running[0].Spec.ContainerSpec.Env) > 0 || len(inState(s.tasks("web"), swarm.TaskStateFailed)) == 0 {
		s.t.Errorf("tasks %s", describe(s.tasks("web")))
	}
}

// failingRollback takes away a secret that only the previous spec uses. When the first
// slot fails, the second one has the new spec and is brought back.
func failingRollback(s *scene) {
	secret := s.secret("a")
	s.create("web", all(replicas(2), onFailure("rollback"), watched, func(spec *swarm.ServiceSpec) {
		spec.RollbackConfig.Monitor = time.Minute
		spec.TaskTemplate.ContainerSpec.Secrets = []*swarm.SecretReference{secret}
	}))
	s.untilTasks("web", 2, swarm.TaskStateRunning)
	s.update("web", all(env("CRASH_AFTER=8s"), func(spec *swarm.ServiceSpec) {
		spec.TaskTemplate.ContainerSpec.Secrets = nil
	}))
	s.must(s.world.Swarm.SecretRemove(s.t.Context(), secret.SecretID))
	after := s.untilUpdate("web", swarm.UpdateStateRollbackPaused)
	if !strings.HasPrefix(after.UpdateStatus.Message, "update paused due to failure or early termination of task ") || after.PreviousSpec != nil {
		s.t.Errorf("service %+v, status %+v", after, after.UpdateStatus)
	}
	words := "starting container failed: unable to get secret from secret store: secret " + secret.SecretID + " not found"
	s.until(func() error {
		for _, one := range s.tasks("web") {
			if one.Status.State == swarm.TaskStateFailed && one.Status.Message == "starting" && one.Status.Err == words {
				return nil
			}
		}
		return fmt.Errorf("tasks %s", describe(s.tasks("web")))
	})
}

func oneShotRolledBack(s *scene) {
	s.create("migrate", all(restarts("none"), runsJob("migrate"), onFailure("rollback"), watched))
	first := s.untilTasks("migrate", 1, swarm.TaskStateComplete)[0]
	s.untilLeft("migrate", first)
	before := s.service("migrate")
	s.update("migrate", env("JOB_FAIL=1"))
	after := s.untilUpdate("migrate", swarm.UpdateStateRollbackCompleted)
	if !cmp.Equal(after.Spec, before.Spec) {
		s.t.Errorf("service %+v", after)
	}
	s.until(func() error {
		tasks := s.tasks("migrate")
		if len(tasks) != 3 || tasks[1].Status.State != swarm.TaskStateFailed || tasks[2].Status.State != swarm.TaskStateComplete {
			return errLeft(tasks)
		}
		return nil
	})
}

func lateFailure(s *scene) {
	s.create("web", onFailure("rollback"))
	s.untilTasks("web", 1, swarm.TaskStateRunning)
	s.update("web", all(env("CRASH_AFTER=4s"), func(spec *swarm.ServiceSpec) { spec.UpdateConfig.Monitor = 500 * time.Millisecond }))
	s.untilUpdate("web", swarm.UpdateStateCompleted)
	s.untilTasks("web", 1, swarm.TaskStateFailed)
	if after := s.service("web"); after.UpdateStatus == nil || after.UpdateStatus.State != swarm.UpdateStateCompleted {
		s.t.Errorf("status %+v", after.UpdateStatus)
	}
}
