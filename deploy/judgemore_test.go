package deploy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

func global(s *swarm.ServiceSpec) { s.Mode = swarm.ServiceMode{Global: &swarm.GlobalService{}} }

// TestModes judges each mode at one reading, two seconds after the first.
func TestModes(t *testing.T) {
	total := func(n uint64) func(*swarm.ServiceSpec) {
		return func(s *swarm.ServiceSpec) {
			one := uint64(1)
			s.Mode = swarm.ServiceMode{ReplicatedJob: &swarm.ReplicatedJob{MaxConcurrent: &one, TotalCompletions: &n}}
		}
	}
	globalJob := func(s *swarm.ServiceSpec) { s.Mode = swarm.ServiceMode{GlobalJob: &swarm.GlobalJob{}} }
	globalOnce := func(s *swarm.ServiceSpec) {
		global(s)
		s.TaskTemplate.RestartPolicy = soon("none")
	}
	drained := func(task *swarm.Task) { task.DesiredState = swarm.TaskStateShutdown }
	const platform = "unsupported platform on 1 node"
	for name, test := range map[string]struct {
		change      func(*swarm.ServiceSpec)
		tasks       func(s *scene)
		ready, want uint64
		state       deploy.State
		says        string
	}{
		"no replicas":          {replicated(0), func(*scene) {}, 0, 0, deploy.Converged, ""},
		"two of three":         {replicated(3), func(s *scene) { s.add(1, "a", "running", ""); s.add(2, "a", "running", "") }, 2, 3, deploy.Pending, "2 of 3"},
		"global on two nodes":  {global, func(s *scene) { s.add(0, "a", "running", ""); s.add(0, "b", "running", "") }, 2, 2, deploy.Converged, ""},
		"global, one starting": {global, func(s *scene) { s.add(0, "a", "running", ""); s.add(0, "b", "starting", "") }, 1, 2, deploy.Pending, "1 of 2"},
		"global, one drained or down": {global, func(s *scene) {
			s.add(0, "a", "running", "")
			drained(s.add(0, "b", "running", ""))
		}, 1, 1, deploy.Converged, ""},
		"global, another platform": {global, func(s *scene) { s.add(0, "a", "running", ""); s.add(0, "b", "pending", platform) }, 1, 1, deploy.Converged, ""},
		"global, no platform":      {global, func(s *scene) { s.add(0, "b", "pending", platform) }, 0, 0, deploy.Pending, "no node has the platform"},
		"global, no node":          {global, func(*scene) {}, 0, 0, deploy.Converged, ""},
		"global, ended for good":   {globalOnce, func(s *scene) { s.add(0, "a", "failed", nonZero) }, 0, 0, deploy.Failed, "its task ended, and its restart policy"},
		"global, ended for good on one node": {globalOnce, func(s *scene) {
			s.add(0, "a", "running", "")
			s.add(0, "b", "failed", nonZero)
		}, 1, 1, deploy.Failed, "its task ended, and its restart policy"},
		"job, two of three": {total(3), func(s *scene) { s.add(1, "a", "complete", ""); s.add(2, "a", "complete", "") }, 2, 3, deploy.Pending, "2 of 3 tasks have completed"},
		"job, done":         {total(2), func(s *scene) { s.add(1, "a", "complete", ""); s.add(2, "a", "complete", "") }, 2, 2, deploy.Converged, ""},
		"job fails":         {total(2), func(s *scene) { s.add(1, "a", "complete", ""); failing(s, 2, 3) }, 1, 2, deploy.Failed, "its tasks keep failing"},
		"global job":        {globalJob, func(s *scene) { s.add(0, "a", "complete", ""); s.add(0, "b", "running", "") }, 1, 2, deploy.Pending, "1 of 2"},
		"global job, one drained": {globalJob, func(s *scene) {
			s.add(0, "a", "complete", "")
			drained(s.add(0, "b", "running", ""))
		}, 1, 1, deploy.Converged, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, "a", test.change)
			if job := s.spec().Mode; job.ReplicatedJob != nil || job.GlobalJob != nil {
				s.change(func(service *swarm.Service) { service.JobStatus = &swarm.JobStatus{} })
			}
			test.tasks(s)
			for i := range s.tasks {
				s.tasks[i].JobIteration = &swarm.Version{}
			}
			s.look(0)
			got := s.look(2 * time.Second)
			s.wants(got, test.state, test.says)
			if got.Ready != test.ready || got.Want != test.want {
				t.Errorf("%d of %d", got.Ready, got.Want)
			}
		})
	}
}

func failing(s *scene, slot, times int) {
	for range times {
		s.add(slot, "a", swarm.TaskStateFailed, nonZero)
	}
}

// TestMonitorTime judges a task that runs, before and after its monitor time.
func TestMonitorTime(t *testing.T) {
	healthy := func(s *swarm.ServiceSpec) { s.TaskTemplate.ContainerSpec.Healthcheck = healthcheck() }
	updated := &swarm.UpdateStatus{State: swarm.UpdateStateCompleted}
	for name, test := range map[string]struct {
		change func(*swarm.ServiceSpec)
		update *swarm.UpdateStatus
		early  deploy.State
	}{
		"new":                      {nil, nil, deploy.Pending},
		"new, with health check":   {healthy, nil, deploy.Converged},
		"update":                   {nil, updated, deploy.Pending},
		"update with health check": {healthy, updated, deploy.Pending},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, "a", func(s *swarm.ServiceSpec) {
				s.UpdateConfig.Monitor = 10 * time.Second
				if test.change != nil {
					test.change(s)
				}
			})
			s.change(func(service *swarm.Service) { service.UpdateStatus = test.update })
			s.add(1, "a", swarm.TaskStateRunning, "")
			s.wants(s.look(0), test.early, "")
			s.wants(s.look(9*time.Second), test.early, "")
			if test.early == deploy.Pending && s.next != time.Second {
				t.Errorf("it looks again after %s", s.next)
			}
			s.wants(s.look(time.Second), deploy.Converged, "")
		})
	}
}

func TestTimeouts(t *testing.T) {
	for label, want := range map[string]time.Duration{"": time.Minute, "10s": 10 * time.Second, "2m": 2 * time.Minute, "garbage": time.Minute} {
		t.Run(label, func(t *testing.T) {
			s := newScene(t, "a", nil)
			s.stack.Services["s_a"].Labels[compose.LabelTimeout] = label
			s.add(1, "a", swarm.TaskStateStarting, "")
			s.look(0)
			s.wants(s.look(want-time.Second), deploy.Pending, "0 of 1")
			if s.next > time.Second {
				t.Errorf("it looks again after %s", s.next)
			}
			got := s.look(time.Second)
			s.wants(got, deploy.Failed, "not done within "+want.String()+": 0 of 1 tasks run")
			if got.Seconds != want.Seconds() {
				t.Errorf("after %v s", got.Seconds)
			}
		})
	}
}

// TestErrNamesAllServices has a failed service, one with a pending error, two that are
// late, and a converged one.
func TestErrNamesAllServices(t *testing.T) {
	result := deploy.Result{Services: []deploy.ServiceResult{
		{Name: "a", State: deploy.Pending, Want: 2, Ready: 1},
		{Name: "b", State: deploy.Pending, Want: 1, Error: nonZero, Message: "0 of 1 tasks run"},
		{Name: "c", State: deploy.Failed, Error: "task: it was killed", ExitCode: 137, Node: "n1", Message: "its tasks keep failing", Logs: []string{"x"}},
		{Name: "d", State: deploy.Failed, Error: noImage, Message: "its image was not found"},
		{Name: "e", State: deploy.Converged},
		{Name: "f", State: deploy.Pending, Want: 1, Health: []string{"exit code 0", "fine"}},
		{Name: "g", State: deploy.Pending, Want: 1, Message: "0 of 1 tasks run", Health: []string{"exit code 1", "first", "503"}},
	}}
	var got []string
	for _, one := range fault.All(result.Err()) {
		got = append(got, one.Error())
		if fault.Hint(one) == "" {
			t.Errorf("no hint: %v", one)
		}
	}
	want := []string{
		"service c: task: it was killed; its tasks keep failing, exit code 137 (on n1)",
		"service d: No such image: coin/app:1; its image was not found",
		"service b: task: non-zero exit (1); not ready when the wait ended: 0 of 1 tasks run",
		"service g: health check: 503; not ready when the wait ended: 0 of 1 tasks run",
		"not ready when the wait ended: a 1/2, f 0/1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := (deploy.Result{Services: []deploy.ServiceResult{{State: deploy.Converged}}}).Err(); err != nil {
		t.Error(err)
	}
}

// TestOneShotThatWouldBeRolledBack is replaced, because Swarm would run the old task again.
func TestOneShotThatWouldBeRolledBack(t *testing.T) {
	for name, test := range map[string]struct {
		service string
		change  func(*swarm.ServiceSpec)
		want    string
	}{
		"one-shot":     {"migrate", func(s *swarm.ServiceSpec) { s.TaskTemplate.ContainerSpec.Image = image2 }, "replace service migrate"},
		"only a label": {"migrate", func(s *swarm.ServiceSpec) { s.Labels["x"] = "y" }, "update service migrate"},
		"another action": {"migrate", func(s *swarm.ServiceSpec) {
			s.TaskTemplate.ContainerSpec.Image = image2
			s.UpdateConfig.FailureAction = "pause"
		}, "update service migrate"},
		"a service at all": {"web", func(s *swarm.ServiceSpec) { s.TaskTemplate.ContainerSpec.Image = image2 }, "update service web"},
	} {
		t.Run(name, func(t *testing.T) {
			lives, wants := newStack("s"), newStack("s")
			both := func(s *swarm.ServiceSpec) {
				s.TaskTemplate.RestartPolicy = soon("none")
				s.UpdateConfig.FailureAction = "rollback"
			}
			add(lives, test.service, both)
			add(wants, test.service, func(s *swarm.ServiceSpec) { both(s); test.change(s) })
			plan, err := deploy.Diff(liveOf(lives), wants)
			if err != nil || strings.Join(lines(plan), ",") != test.want {
				t.Errorf("%v, %v", lines(plan), err)
			}
		})
	}
}

// TestUpdateThatHasNotBegun reads a service before Swarm notes that it replaces the tasks,
// whose specs show neither an endpoint nor a placement.
func TestUpdateThatHasNotBegun(t *testing.T) {
	for name, test := range map[string]struct {
		change    func(*swarm.ServiceSpec) // what it was before
		unwritten bool                     // by this sync
		early     deploy.State
	}{
		"placement": {func(s *swarm.ServiceSpec) {
			s.TaskTemplate.Placement = &swarm.Placement{Constraints: []string{"node.hostname==a"}}
		}, false, deploy.Pending},
		"placement, by an earlier one": {func(s *swarm.ServiceSpec) {
			s.TaskTemplate.Placement = &swarm.Placement{Constraints: []string{"node.hostname==a"}}
		}, true, deploy.Converged},
		"endpoint": {func(s *swarm.ServiceSpec) { s.EndpointSpec = nil }, false, deploy.Pending},
		"labels":   {func(s *swarm.ServiceSpec) { s.Labels = nil }, false, deploy.Converged},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, "a", nil)
			s.add(1, "a", swarm.TaskStateRunning, "")
			s.now = s.now.Add(time.Hour)
			previous := s.spec()
			test.change(&previous)
			s.change(func(service *swarm.Service) {
				service.Version.Index, service.PreviousSpec, service.CreatedAt, service.UpdatedAt = 2, &previous, s.now.Add(-time.Hour), s.now
			})
			if test.unwritten {
				s.options.Changed = nil
			}
			s.wants(s.look(0), test.early, "")
			began := s.now.Add(time.Second)
			if test.early == deploy.Pending {
				s.change(func(service *swarm.Service) {
					service.UpdateStatus = &swarm.UpdateStatus{State: swarm.UpdateStateUpdating, StartedAt: &began}
				})
				s.wants(s.look(time.Second), deploy.Pending, "1 of 1 tasks run; the update continues")
				s.change(func(service *swarm.Service) { service.UpdateStatus = nil }) // or no task has to move
			}
			s.wants(s.look(time.Second), deploy.Converged, "")
		})
	}
}
