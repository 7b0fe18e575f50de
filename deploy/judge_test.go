package deploy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

// scene is a service "a" in a stack "s", as the readings of one wait show it.
type scene struct {
	t       *testing.T
	stack   *compose.Stack
	live    deploy.LiveServices
	tasks   []swarm.Task
	now     time.Time
	options deploy.VerifyOptions
	judge   func(deploy.LiveServices, map[string][]swarm.Task, *compose.Stack) (deploy.Result, time.Duration)
	next    time.Duration
}

func newScene(t *testing.T, name string, change func(*swarm.ServiceSpec)) *scene {
	t.Helper()
	stack := newStack("s")
	add(stack, name, func(s *swarm.ServiceSpec) {
		replicated(1)(s) // as the engine returns it
		if change != nil {
			change(s)
		}
	})
	s := &scene{t: t, stack: stack, live: liveOf(stack).Services, now: time.Unix(1e9, 0)}
	s.options = deploy.VerifyOptions{Timeout: time.Minute, Changed: []string{"s_" + name}}
	return s
}

func (s *scene) spec() swarm.ServiceSpec {
	for _, service := range s.live {
		return service.Spec
	}
	return swarm.ServiceSpec{}
}

// change changes the live service.
func (s *scene) change(change func(*swarm.Service)) {
	for name, service := range s.live {
		change(&service)
		s.live[name] = service
	}
}

// look gives the judgement after a time.
func (s *scene) look(after time.Duration) deploy.ServiceResult {
	s.t.Helper()
	if s.judge == nil {
		s.judge = deploy.NewJudge(s.options, func() time.Time { return s.now })
	}
	s.now = s.now.Add(after)
	tasks := map[string][]swarm.Task{}
	for _, service := range s.live {
		tasks[service.ID] = s.tasks
	}
	var result deploy.Result
	result, s.next = s.judge(s.live, tasks, s.stack)
	return result.Services[0]
}

// add adds a task of the current spec, in a slot or on a node of a global service. says is
// the error of the task, if not "".
func (s *scene) add(slot int, node string, state swarm.TaskState, says string) *swarm.Task {
	task := swarm.Task{
		ID: fmt.Sprintf("task%d", len(s.tasks)), Slot: slot, NodeID: node, Spec: s.spec().TaskTemplate, DesiredState: swarm.TaskStateRunning,
		Meta:   swarm.Meta{CreatedAt: s.now.Add(time.Duration(len(s.tasks)) * time.Millisecond)},
		Status: swarm.TaskStatus{State: state, Err: says, Timestamp: s.now},
	}
	if state == swarm.TaskStateFailed || state == swarm.TaskStateRejected || state == swarm.TaskStateComplete || state == swarm.TaskStateShutdown {
		task.DesiredState = swarm.TaskStateShutdown
	}
	s.tasks = append(s.tasks, task)
	return &s.tasks[len(s.tasks)-1]
}

// wants checks the state of the result and the beginning of its message.
func (s *scene) wants(got deploy.ServiceResult, state deploy.State, says string) {
	s.t.Helper()
	if got.State != state || !strings.HasPrefix(got.Message, says) {
		s.t.Errorf("%s %q, want %s %q", got.State, got.Message, state, says)
	}
}

const (
	nonZero = "task: non-zero exit (1)"
	noImage = "No such image: coin/app:1"
	// noImage29 is in the words of engine 29, with the full name.
	noImage29 = `failed to resolve reference "docker.io/coin/app:1": docker.io/coin/app:1: not found`
)

func policy(condition swarm.RestartPolicyCondition, attempts uint64) func(*swarm.ServiceSpec) {
	return func(s *swarm.ServiceSpec) {
		s.TaskTemplate.RestartPolicy = &swarm.RestartPolicy{Condition: condition, MaxAttempts: &attempts}
	}
}

func replicated(n uint64) func(*swarm.ServiceSpec) {
	return func(s *swarm.ServiceSpec) { s.Mode.Replicated = &swarm.ReplicatedService{Replicas: &n} }
}

func TestCrashLoops(t *testing.T) {
	for name, test := range map[string]struct {
		service string
		change  func(*swarm.ServiceSpec)
		states  []swarm.TaskState // one after the other in slot 1
		err     string
		want    deploy.State
		says    string
	}{
		"once is not a loop":            {"a", nil, []swarm.TaskState{"failed", "starting"}, nonZero, deploy.Pending, "0 of 1 tasks run"},
		"once, then it runs":            {"a", nil, []swarm.TaskState{"failed", "running"}, nonZero, deploy.Pending, "1 of 1 tasks run; waiting"},
		"three times":                   {"a", nil, []swarm.TaskState{"failed", "failed", "failed", "ready"}, nonZero, deploy.Failed, "its tasks keep failing (3 times)"},
		"ends with 0 again and again":   {"a", nil, []swarm.TaskState{"complete", "complete", "complete", "ready"}, "", deploy.Failed, "its tasks keep failing (3 times)"},
		"as many as max_attempts allow": {"a", policy("any", 4), []swarm.TaskState{"failed", "failed", "failed", "failed", "ready"}, nonZero, deploy.Pending, "0 of 1"},
		"more than max_attempts":        {"a", policy("on-failure", 1), []swarm.TaskState{"failed", "failed"}, nonZero, deploy.Failed, "its task ended, and its restart policy"},
		"condition none":                {"a", policy("none", 0), []swarm.TaskState{"failed"}, nonZero, deploy.Failed, "its task ended, and its restart policy"},
		"on-failure ends well":          {"a", policy("on-failure", 0), []swarm.TaskState{"complete"}, "", deploy.Failed, "its task ended, and its restart policy"},
		"image once":                    {"a", nil, []swarm.TaskState{"rejected", "ready"}, noImage, deploy.Pending, "0 of 1"},
		"image twice":                   {"a", nil, []swarm.TaskState{"rejected", "rejected", "ready"}, noImage, deploy.Failed, "its image was not found"},
		"29 has no tag, twice":          {"a", nil, []swarm.TaskState{"rejected", "rejected", "ready"}, noImage29, deploy.Failed, "its image was not found"},
		"29 tries again":                {"a", nil, []swarm.TaskState{"preparing"}, noImage29, deploy.Pending, "0 of 1 tasks run"},
		"refused twice":                 {"a", nil, []swarm.TaskState{"rejected", "rejected", "ready"}, "invalid mount config", deploy.Failed, "its node rejects the task"},
		"one-shot fails for good":       {"migrate", policy("none", 0), []swarm.TaskState{"failed"}, nonZero, deploy.Failed, "its task failed and is not restarted"},
		"one-shot is tried again":       {"migrate", policy("on-failure", 0), []swarm.TaskState{"failed", "failed", "running"}, nonZero, deploy.Pending, "0 of 1 tasks have completed"},
		"one-shot fails three times":    {"migrate", policy("on-failure", 0), []swarm.TaskState{"failed", "failed", "failed", "ready"}, nonZero, deploy.Failed, "its tasks keep failing"},
		"one-shot has five attempts":    {"migrate", policy("on-failure", 5), []swarm.TaskState{"failed", "failed", "failed", "ready"}, nonZero, deploy.Pending, "0 of 1"},
		"one-shot fails, then succeeds": {"migrate", policy("on-failure", 0), []swarm.TaskState{"failed", "failed", "complete"}, nonZero, deploy.Converged, ""},
		"one-shot without its image":    {"migrate", policy("on-failure", 0), []swarm.TaskState{"rejected", "rejected", "ready"}, noImage, deploy.Failed, "its image was not found"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, test.service, test.change)
			for _, state := range test.states {
				says := test.err
				if state == swarm.TaskStateRunning || state == swarm.TaskStateReady || state == swarm.TaskStateStarting {
					says = ""
				}
				s.add(1, "n", state, says)
			}
			got := s.look(0)
			s.wants(got, test.want, test.says)
			if test.want == deploy.Failed && got.Error != test.err {
				t.Errorf("error %q", got.Error)
			}
		})
	}
}

// TestStuckTasks judges a task that its node fails to prepare and tries again, as engine 29
// does: it fails in seconds, unless it goes on before.
func TestStuckTasks(t *testing.T) {
	const away = `failed to resolve reference "docker.io/coin/app:1": failed to do request: dial tcp: lookup registry-1.docker.io: network is unreachable`
	for name, test := range map[string]struct {
		service, says string
		then          swarm.TaskState // after half of the time
		want          deploy.State
		message, hint string
	}{
		"image":             {"a", away, "preparing", deploy.Failed, "its image was not found", "check the tag"},
		"image of a job":    {"migrate", away, "preparing", deploy.Failed, "its image was not found", "check the tag"},
		"something else":    {"a", "network s_default not found", "preparing", deploy.Failed, "its node cannot prepare the task", "docker service ps"},
		"goes on in time":   {"a", away, "running", deploy.Pending, "1 of 1 tasks run", ""},
		"has another error": {"a", away, "rejected", deploy.Pending, "0 of 1 tasks run", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, test.service, nil)
			if test.service == "migrate" {
				s = newScene(t, test.service, policy("on-failure", 0))
			}
			task := s.add(1, "n", swarm.TaskStatePreparing, test.says)
			if got := s.look(0); got.State != deploy.Pending {
				t.Errorf("at once: %+v", got)
			}
			s.wants(s.look(6*time.Second), deploy.Pending, "")
			if s.next > 4*time.Second {
				t.Errorf("it looks again after %s", s.next)
			}
			if task.Status.State = test.then; test.then == swarm.TaskStateRunning {
				task.Status = swarm.TaskStatus{State: test.then, Timestamp: s.now}
			}
			got := s.look(4 * time.Second)
			if got.State == deploy.Converged {
				got.State, got.Message = deploy.Pending, "1 of 1 tasks run" // its monitor time is over
			}
			s.wants(got, test.want, test.message)
			if hint := fault.Hint(deploy.Result{Services: []deploy.ServiceResult{got}}.Err()); test.want == deploy.Failed && !strings.HasPrefix(hint, test.hint) {
				t.Errorf("hint %q", hint)
			}
		})
	}
}

func TestFailuresOfSeveralReplicas(t *testing.T) {
	s := newScene(t, "a", replicated(3))
	for slot := 1; slot <= 3; slot++ {
		s.add(slot, "n", swarm.TaskStateFailed, nonZero)
	}
	for slot := 1; slot <= 3; slot++ {
		s.add(slot, "n", swarm.TaskStateRunning, "")
	}
	s.wants(s.look(0), deploy.Pending, "3 of 3 tasks run; waiting")
	s.wants(s.look(time.Second), deploy.Converged, "")
}

// TestDeletedTasksCount covers a Swarm that does not keep ended tasks.
func TestDeletedTasksCount(t *testing.T) {
	s := newScene(t, "a", nil)
	for range 3 {
		s.tasks = append([]swarm.Task{}, s.tasks[max(0, len(s.tasks)-1):]...)
		s.add(1, "n", swarm.TaskStateFailed, nonZero).ID = s.now.String()
		if s.look(time.Second).State == deploy.Failed && len(s.tasks) < 2 {
			t.Error("too early")
		}
	}
	s.wants(s.look(0), deploy.Failed, "its tasks keep failing (3 times)")
}

// TestEarlierRolloutDoesNotCount returns to a spec whose tasks failed before: their
// failures are not those of this rollout, and its own failures are.
func TestEarlierRolloutDoesNotCount(t *testing.T) {
	s := newScene(t, "a", nil)
	for range 3 {
		s.add(1, "n", swarm.TaskStateFailed, nonZero)
	}
	s.now = s.now.Add(time.Minute)
	written := s.now
	s.change(func(service *swarm.Service) {
		other := service.Spec
		container := *other.TaskTemplate.ContainerSpec
		container.Image = "coin/app:between"
		other.TaskTemplate.ContainerSpec = &container
		service.PreviousSpec, service.CreatedAt, service.UpdatedAt = &other, written.Add(-time.Hour), written
	})
	s.wants(s.look(0), deploy.Pending, "0 of 1 tasks run")
	s.change(func(service *swarm.Service) {
		service.UpdateStatus = &swarm.UpdateStatus{State: swarm.UpdateStateUpdating, StartedAt: &written}
		service.UpdatedAt = written.Add(time.Second) // the state of the update was written
	})
	s.add(1, "n", swarm.TaskStateFailed, nonZero)
	s.add(1, "n", swarm.TaskStateFailed, nonZero)
	s.wants(s.look(time.Second), deploy.Pending, "0 of 1 tasks run; the update continues")
	s.add(1, "n", swarm.TaskStateFailed, nonZero)
	s.wants(s.look(time.Second), deploy.Failed, "its tasks keep failing (3 times)")
}

// TestEarlierCompletionDoesNotCount returns to the spec of a one-shot service that had
// completed: its task is to run again. When only its labels were written, no task follows.
func TestEarlierCompletionDoesNotCount(t *testing.T) {
	for name, test := range map[string]struct {
		image string // between
		want  deploy.State
	}{"another image between": {"coin/app:between", deploy.Pending}, "labels alone": {"", deploy.Converged}} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, "migrate", policy(swarm.RestartPolicyConditionNone, 0))
			s.add(1, "n", swarm.TaskStateComplete, "")
			s.now = s.now.Add(time.Minute)
			s.change(func(service *swarm.Service) {
				other := service.Spec
				container := *other.TaskTemplate.ContainerSpec
				other.TaskTemplate.ContainerSpec = &container
				if test.image != "" {
					container.Image = test.image
				}
				service.PreviousSpec, service.UpdatedAt = &other, s.now
			})
			s.wants(s.look(0), test.want, "")
			s.add(1, "n", swarm.TaskStateComplete, "")
			s.wants(s.look(time.Second), deploy.Converged, "")
		})
	}
}

// TestHistoryDoesNotCount reads a service that was not written.
func TestHistoryDoesNotCount(t *testing.T) {
	for state, want := range map[swarm.UpdateState]deploy.State{
		swarm.UpdateStatePaused: deploy.Converged, swarm.UpdateStateRollbackPaused: deploy.Converged,
		swarm.UpdateStateRollbackCompleted: deploy.Converged, swarm.UpdateStateCompleted: deploy.Converged,
		swarm.UpdateStateUpdating: deploy.Pending, swarm.UpdateStateRollbackStarted: deploy.Pending,
	} {
		t.Run(string(state), func(t *testing.T) {
			s := newScene(t, "a", nil)
			s.options.Changed = nil
			s.change(func(service *swarm.Service) { service.UpdateStatus = &swarm.UpdateStatus{State: state} })
			for range 4 {
				s.add(1, "n", swarm.TaskStateFailed, nonZero)
			}
			s.add(1, "n", swarm.TaskStateRunning, "")
			s.look(0)
			s.wants(s.look(time.Second), want, "")
		})
	}
}

func TestUpdateStates(t *testing.T) {
	for state, says := range map[swarm.UpdateState]string{
		swarm.UpdateStatePaused:            "Swarm paused the update",
		swarm.UpdateStateRollbackStarted:   "Swarm rolled the update back",
		swarm.UpdateStateRollbackCompleted: "Swarm rolled the update back",
		swarm.UpdateStateRollbackPaused:    "Swarm rolled the update back and paused the rollback",
	} {
		t.Run(string(state), func(t *testing.T) {
			s := newScene(t, "a", nil)
			s.add(1, "n", swarm.TaskStateFailed, nonZero)
			if state != swarm.UpdateStatePaused { // the live spec differs from the wanted one
				s.stack.Services = map[string]swarm.ServiceSpec{"s_a": s.spec()}
				s.change(func(service *swarm.Service) {
					container := *service.Spec.TaskTemplate.ContainerSpec
					container.Image = image2
					service.Spec.TaskTemplate.ContainerSpec = &container
				})
				s.add(1, "n", swarm.TaskStateRunning, "")
			}
			s.change(func(service *swarm.Service) {
				service.UpdateStatus = &swarm.UpdateStatus{State: state, Message: "of a task"}
			})
			got := s.look(0)
			s.wants(got, deploy.Failed, says)
			if got.Error != nonZero {
				t.Errorf("error %q", got.Error)
			}
			if got.Want != 1 {
				t.Errorf("%d of %d tasks run, want of 1", got.Ready, got.Want)
			}
		})
	}
}
