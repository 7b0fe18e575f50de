package enginetest

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	containertypes "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/google/go-cmp/cmp"
)

// endingTests are about tasks that end by themselves.
func endingTests() []contractTest {
	return []contractTest{
		{"a one-shot that succeeds is complete and stays so", oneShotSucceeds},
		{"a one-shot that fails is not started again", oneShotFails},
		{"a one-shot runs again when its spec changes, and its update is paused", oneShotAgain},
		{"on-failure starts again what failed, as often as it says", maxAttempts},
		{"a task that completes is started again with condition any", completesAgain},
		{"a job completes, and any update runs it again", jobCompletes},
		{"a job that fails is started again", jobFails},
		{"a job makes as many tasks as it is to complete", jobOfThree},
		{"a global job runs on each node", globalJob},
	}
}

func oneShotSucceeds(s *scene) {
	s.create("migrate", all(restarts("none"), runsJob("migrate")))
	task := s.untilTasks("migrate", 1, swarm.TaskStateComplete)[0]
	if task.Status.Message != "finished" || task.Status.Err != "" || task.Status.ContainerStatus.ExitCode != 0 {
		s.t.Errorf("task %+v", task.Status)
	}
	s.untilLeft("migrate", task)
	// Labels and settings of the service are no reason to run it.
	s.update("migrate", func(spec *swarm.ServiceSpec) { spec.Labels["a"] = "b" })
	s.update("migrate", onFailure("rollback"))
	s.untilLeft("migrate", task)
}

// untilLeft waits until Swarm leaves a task that has ended as it is: it wants no other.
func (s *scene) untilLeft(short string, task swarm.Task) {
	s.t.Helper()
	s.until(func() error {
		tasks := s.tasks(short)
		if len(tasks) != 1 || tasks[0].ID != task.ID || tasks[0].DesiredState != swarm.TaskStateShutdown {
			return fmt.Errorf("tasks %s, want %s alone and wanted no more", describe(tasks), task.ID)
		}
		return nil
	})
}

func oneShotFails(s *scene) {
	s.create("migrate", all(restarts("none"), runsJob("migrate"), env("JOB_FAIL=1")))
	task := s.untilTasks("migrate", 1, swarm.TaskStateFailed)[0]
	if task.Status.Err != "task: non-zero exit (1)" || task.Status.ContainerStatus.ExitCode != 1 {
		s.t.Errorf("task %+v", task.Status)
	}
	logs, err := s.world.Swarm.TaskLogs(s.t.Context(), task.ID, containertypes.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "10"})
	s.must(err)
	var printed bytes.Buffer
	_, err = stdcopy.StdCopy(&printed, &printed, logs)
	s.must(err)
	s.must(logs.Close())
	if !strings.Contains(printed.String(), "app: error: job migrate: failed on demand (JOB_FAIL)") {
		s.t.Errorf("it prints %q", printed.String())
	}
	s.untilLeft("migrate", task)
	if diff := cmp.Diff(&swarm.ServiceStatus{DesiredTasks: 1}, s.service("migrate").ServiceStatus); diff != "" {
		s.t.Error(diff)
	}
}

func oneShotAgain(s *scene) {
	s.create("migrate", all(restarts("none"), runsJob("migrate")))
	first := s.untilTasks("migrate", 1, swarm.TaskStateComplete)[0]
	s.untilLeft("migrate", first)
	s.update("migrate", all(imageIs(s.world.Images[1]), func(spec *swarm.ServiceSpec) { spec.UpdateConfig.Monitor = 10 * time.Second }))
	both := s.untilTasks("migrate", 2, swarm.TaskStateComplete)
	if both[1].Spec.ContainerSpec.Image != s.world.Images[1] {
		s.t.Errorf("tasks %s", describe(both))
	}
	after := s.untilUpdate("migrate", swarm.UpdateStatePaused)
	if want := "update paused due to failure or early termination of task " + both[1].ID; after.UpdateStatus.Message != want {
		s.t.Errorf("message %q, want %q", after.UpdateStatus.Message, want)
	}
}

func maxAttempts(s *scene) {
	s.create("migrate", all(restarts("on-failure"), runsJob("migrate"), env("JOB_FAIL=1"), func(spec *swarm.ServiceSpec) {
		spec.TaskTemplate.RestartPolicy.MaxAttempts = new(uint64(1))
	}))
	s.untilTasks("migrate", 2, swarm.TaskStateFailed)
	s.until(func() error {
		tasks := s.tasks("migrate")
		for _, one := range tasks {
			if one.DesiredState != swarm.TaskStateShutdown {
				return errLeft(tasks)
			}
		}
		if len(tasks) != 2 {
			return errLeft(tasks)
		}
		return nil
	})
}

func completesAgain(s *scene) {
	s.create("web", runsJob("again"))
	done := s.untilTasks("web", 2, swarm.TaskStateComplete)
	if done[0].Slot != 1 || done[1].Slot != 1 {
		s.t.Errorf("tasks %s", describe(done))
	}
}

// job makes a service a job.
func job(mode swarm.ReplicatedJob) func(*swarm.ServiceSpec) {
	return func(spec *swarm.ServiceSpec) {
		spec.Mode, spec.UpdateConfig, spec.RollbackConfig = swarm.ServiceMode{ReplicatedJob: &mode}, nil, nil
	}
}

func jobCompletes(s *scene) {
	s.create("job", all(runsJob("once"), restarts("none"), job(swarm.ReplicatedJob{})))
	first := s.untilTasks("job", 1, swarm.TaskStateComplete)[0]
	before := s.service("job")
	if first.DesiredState != swarm.TaskStateComplete || first.JobIteration == nil || first.JobIteration.Index != 0 || first.Slot != 0 ||
		before.JobStatus == nil || before.JobStatus.JobIteration.Index != 0 || before.JobStatus.LastExecution.IsZero() {
		s.t.Errorf("task %+v of %+v", first, before.JobStatus)
	}
	want := &swarm.ReplicatedJob{MaxConcurrent: new(uint64(1)), TotalCompletions: new(uint64(1))}
	if diff := cmp.Diff(want, before.Spec.Mode.ReplicatedJob); diff != "" {
		s.t.Error(diff)
	}
	if diff := cmp.Diff(&swarm.ServiceStatus{DesiredTasks: 1, CompletedTasks: 1}, before.ServiceStatus); diff != "" {
		s.t.Error(diff)
	}
	s.update("job", func(*swarm.ServiceSpec) {})
	both := s.untilTasks("job", 2, swarm.TaskStateComplete)
	after := s.service("job")
	if both[0].ID != first.ID || both[1].JobIteration.Index != 1 || after.JobStatus.JobIteration.Index != 1 || after.UpdateStatus != nil {
		s.t.Errorf("tasks %s of %+v", describe(both), after)
	}
}

func jobFails(s *scene) {
	s.create("job", all(runsJob("once"), restarts("on-failure"), env("JOB_FAIL=1"), job(swarm.ReplicatedJob{})))
	s.create("last", all(runsJob("once"), restarts("none"), env("JOB_FAIL=1"), job(swarm.ReplicatedJob{})))
	failed := s.untilTasks("job", 2, swarm.TaskStateFailed)
	if failed[0].Slot != failed[1].Slot || failed[0].DesiredState != swarm.TaskStateShutdown {
		s.t.Errorf("tasks %s", describe(failed))
	}
	s.untilLeft("last", s.untilTasks("last", 1, swarm.TaskStateFailed)[0])
}

func jobOfThree(s *scene) {
	s.create("job", all(runsJob("some"), restarts("none"), job(swarm.ReplicatedJob{MaxConcurrent: new(uint64(2)), TotalCompletions: new(uint64(3))})))
	done := s.untilTasks("job", 3, swarm.TaskStateComplete)
	slots := map[int]bool{}
	for _, one := range done {
		slots[one.Slot] = true
	}
	if len(done) != 3 || !slots[0] || !slots[1] || !slots[2] {
		s.t.Errorf("tasks %s", describe(done))
	}
}

func globalJob(s *scene) {
	s.create("job", all(runsJob("once"), restarts("none"), job(swarm.ReplicatedJob{}), func(spec *swarm.ServiceSpec) {
		spec.Mode = swarm.ServiceMode{GlobalJob: &swarm.GlobalJob{}}
	}))
	task := s.untilTasks("job", 1, swarm.TaskStateComplete)[0]
	if task.Slot != 0 || task.NodeID == "" || task.JobIteration == nil {
		s.t.Errorf("task %+v", task)
	}
}
