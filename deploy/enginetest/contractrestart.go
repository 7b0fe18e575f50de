package enginetest

import (
	"fmt"
	"testing"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"
)

// ContractOfRestart tests what an engine does that is ended and started again, which
// restart does. It needs an engine of its own.
func ContractOfRestart(t *testing.T, w World, restart func()) {
	t.Helper()
	s := &scene{t: t, world: w}
	s.create("web", nil)
	s.create("last", restarts("none"))
	s.create("migrate", all(restarts("none"), runsJob("migrate")))
	s.create("job", all(runsJob("once"), restarts("none"), job(swarm.ReplicatedJob{})))
	s.create("paused", watched)
	s.untilTasks("paused", 1, swarm.TaskStateRunning)
	s.update("paused", all(env("CRASH_AFTER=1ms"), restarts("none")))
	paused := s.untilUpdate("paused", swarm.UpdateStatePaused)
	web, last := s.untilTasks("web", 1, swarm.TaskStateRunning)[0], s.untilTasks("last", 1, swarm.TaskStateRunning)[0]
	migrated, done := s.untilTasks("migrate", 1, swarm.TaskStateComplete)[0], s.untilTasks("job", 1, swarm.TaskStateComplete)[0]
	s.untilLeft("migrate", migrated)
	restart()
	s.until(func() error {
		tasks := s.tasks("web")
		if len(tasks) < 2 || tasks[0].ID != web.ID || tasks[0].Status.State != swarm.TaskStateFailed || tasks[len(tasks)-1].Status.State != swarm.TaskStateRunning {
			return fmt.Errorf("tasks of web %s, of last %s", describe(tasks), describe(s.tasks("last")))
		}
		return nil
	})
	if tasks := s.tasks("last"); len(tasks) != 1 || tasks[0].ID != last.ID || tasks[0].Status.State != swarm.TaskStateFailed {
		s.t.Errorf("tasks of last %s", describe(tasks))
	}
	s.untilLeft("migrate", migrated)
	if tasks := s.tasks("job"); len(tasks) != 1 || tasks[0].ID != done.ID {
		s.t.Errorf("tasks of job %s", describe(tasks))
	}
	if diff := cmp.Diff(paused.UpdateStatus, s.service("paused").UpdateStatus); diff != "" {
		s.t.Error(diff)
	}
}
