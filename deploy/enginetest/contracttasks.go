package enginetest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	containertypes "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/google/go-cmp/cmp"
)

// taskTests are about tasks that are to run on.
func taskTests() []contractTest {
	return []contractTest{
		{"a good service comes to run", goodService},
		{"a command runs in a container", commandRuns},
		{"images are told of", imagesTold},
		{"events tell of services and containers", eventsArrive},
		{"replicas come and go, the others stay", scaling},
		{"a global service has a task on each node that fits", globalService},
		{"a task that no node fits stays pending", noNode},
		{"two tasks do not share a port of the host", hostPort},
		{"a missing image is rejected, again and again", missingImage},
		{"a crash loop makes new tasks", crashLoop},
		{"a health check decides when a task runs", healthyTask},
		{"an unhealthy container is stopped", unhealthyTask},
	}
}

func goodService(s *scene) {
	s.network("n")
	secret, config := s.secret("a"), s.config()
	id := s.create("web", func(spec *swarm.ServiceSpec) {
		spec.TaskTemplate.Networks = []swarm.NetworkAttachmentConfig{{Target: s.name("n")}}
		spec.TaskTemplate.ContainerSpec.Secrets = []*swarm.SecretReference{secret}
		spec.TaskTemplate.ContainerSpec.Configs = []*swarm.ConfigReference{config}
	})
	task := s.untilTasks("web", 1, swarm.TaskStateRunning)[0]
	if task.DesiredState != swarm.TaskStateRunning || task.Slot != 1 || task.NodeID == "" || task.Status.Message != "started" ||
		task.Status.Err != "" || task.Status.ContainerStatus == nil || task.JobIteration != nil {
		s.t.Errorf("task %+v", task)
	}
	found := s.service("web")
	if diff := cmp.Diff(&swarm.ServiceStatus{RunningTasks: 1, DesiredTasks: 1}, found.ServiceStatus); diff != "" {
		s.t.Error(diff)
	}
	if found.UpdateStatus != nil {
		s.t.Errorf("a new service has the update %+v", found.UpdateStatus)
	}
	runs, err := s.world.Swarm.ContainerInspect(s.t.Context(), task.Status.ContainerStatus.ContainerID)
	s.must(err)
	if !runs.State.Running || runs.Config.Labels["com.docker.swarm.service.name"] != s.name("web") {
		s.t.Errorf("container %+v of %+v", runs.State, runs.Config.Labels)
	}
	s.filters(id, task)
}

// filters finds a task by its service, node and desired state.
func (s *scene) filters(service string, task swarm.Task) {
	for how, test := range map[string]struct {
		args []filters.KeyValuePair
		want int
	}{
		"service":       {[]filters.KeyValuePair{filters.Arg("service", s.name("web"))}, 1},
		"service's ID":  {[]filters.KeyValuePair{filters.Arg("service", service)}, 1},
		"node, running": {[]filters.KeyValuePair{filters.Arg("service", service), filters.Arg("node", task.NodeID), filters.Arg("desired-state", "running")}, 1},
		"shut down":     {[]filters.KeyValuePair{filters.Arg("service", service), filters.Arg("desired-state", "shutdown")}, 0},
	} {
		list, err := s.world.Swarm.TaskList(s.t.Context(), swarm.TaskListOptions{Filters: filters.NewArgs(test.args...)})
		s.must(err)
		if len(list) != test.want {
			s.t.Errorf("by %s: %s", how, describe(list))
		}
	}
	node, _, err := s.world.Swarm.NodeInspectWithRaw(s.t.Context(), task.NodeID)
	s.must(err)
	info, err := s.world.Swarm.Info(s.t.Context())
	s.must(err)
	if node.Description.Hostname == "" || info.Swarm.NodeID != task.NodeID || !info.Swarm.ControlAvailable || info.Swarm.LocalNodeState != swarm.LocalNodeStateActive {
		s.t.Errorf("node %+v, swarm %+v", node, info.Swarm)
	}
}

func eventsArrive(s *scene) {
	ctx, stop := context.WithCancel(s.t.Context())
	defer stop()
	s.world.Swarm.NegotiateAPIVersion(ctx)
	messages, errs := s.world.Swarm.Events(ctx, events.ListOptions{Filters: filters.NewArgs(
		filters.Arg("type", "service"), filters.Arg("type", "container"),
		filters.Arg("event", "create"), filters.Arg("event", "update"), filters.Arg("event", "remove"),
		filters.Arg("event", "start"), filters.Arg("event", "die"), filters.Arg("event", "health_status"),
	)})
	arrives := func(kind events.Type, action events.Action, attribute, value string) {
		s.t.Helper()
		limit := time.NewTimer(patience)
		defer limit.Stop()
		var seen []string
		for {
			select {
			case one := <-messages:
				attributes := one.Actor.Attributes
				ours := attributes["name"] == s.name("web") || attributes["com.docker.stack.namespace"] == s.world.Stack
				if ours && one.Type == kind && one.Action == action && attributes[attribute] == value {
					return
				}
				seen = append(seen, fmt.Sprint(one.Type, " ", one.Action, attributes))
			case err := <-errs:
				s.t.Fatalf("the stream has ended: %v", err)
			case <-limit.C:
				s.t.Fatalf("no %s %s with %s=%s, but %s", kind, action, attribute, value, strings.Join(seen, "\n"))
			}
		}
	}
	id := s.create("web", func(spec *swarm.ServiceSpec) { spec.TaskTemplate.ContainerSpec.Healthcheck = quickCheck() })
	arrives("service", "create", "name", s.name("web"))
	arrives("container", "start", "com.docker.swarm.service.id", id)
	arrives("container", "health_status: healthy", "com.docker.swarm.service.name", s.name("web"))
	s.update("web", all(imageIs(s.world.Images[1]), replicas(1)))
	arrives("service", "update", "image.new", s.world.Images[1])
	arrives("service", "update", "updatestate.new", "updating")
	arrives("container", "die", "exitCode", "143")
	arrives("service", "update", "updatestate.new", "completed")
	s.update("web", replicas(2))
	arrives("service", "update", "replicas.new", "2")
	s.must(s.world.Swarm.ServiceRemove(ctx, id))
	arrives("service", "remove", "name", s.name("web"))
	stop()
	for err := range errs {
		if err != context.Canceled { //nolint:errorlint // the client gives it bare
			s.t.Errorf("the stream ends with %v", err)
		}
	}
}

func quickCheck() *containertypes.HealthConfig {
	return &containertypes.HealthConfig{Test: []string{"CMD", "/app", "health"}, Interval: 300 * time.Millisecond, Retries: 2}
}

func scaling(s *scene) {
	s.create("web", replicas(1))
	first := s.untilTasks("web", 1, swarm.TaskStateRunning)
	s.update("web", replicas(3))
	three := s.untilTasks("web", 3, swarm.TaskStateRunning)
	slots := map[int]bool{}
	for _, one := range three {
		slots[one.Slot] = true
	}
	if !slots[1] || !slots[2] || !slots[3] || s.service("web").UpdateStatus != nil {
		s.t.Errorf("tasks %s", describe(three))
	}
	s.update("web", replicas(1))
	s.until(func() error {
		left := s.tasks("web")
		if diff := cmp.Diff(ids(first), ids(left)); diff != "" {
			return errLeft(left)
		}
		return nil
	})
	s.update("web", replicas(0))
	s.until(func() error {
		if left := s.tasks("web"); len(left) > 0 {
			return errLeft(left)
		}
		return nil
	})
}

func globalService(s *scene) {
	global := func(spec *swarm.ServiceSpec) { spec.Mode = swarm.ServiceMode{Global: &swarm.GlobalService{}} }
	s.create("each", global)
	s.create("none", all(global, func(spec *swarm.ServiceSpec) {
		spec.TaskTemplate.Placement = &swarm.Placement{Constraints: []string{"node.hostname==nowhere"}}
	}))
	s.create("foreign", all(global, func(spec *swarm.ServiceSpec) {
		spec.TaskTemplate.Placement = &swarm.Placement{Platforms: []swarm.Platform{{OS: "plan9"}}}
	}))
	task := s.untilTasks("each", 1, swarm.TaskStateRunning)[0]
	if task.Slot != 0 || task.NodeID == "" {
		s.t.Errorf("task %+v", task)
	}
	if diff := cmp.Diff(&swarm.ServiceStatus{RunningTasks: 1, DesiredTasks: 1}, s.service("each").ServiceStatus); diff != "" {
		s.t.Error(diff)
	}
	s.until(func() error { return s.pending("foreign", "unsupported platform on 1 node") })
	if tasks := s.tasks("none"); len(tasks) > 0 {
		s.t.Errorf("tasks %s", describe(tasks))
	}
	s.update("each", env("A=1"))
	s.untilUpdate("each", swarm.UpdateStateCompleted)
	// The old task may be listed as running for a moment after the update has completed.
	s.until(func() error {
		if tasks := inState(s.tasks("each"), swarm.TaskStateRunning); len(tasks) != 1 || tasks[0].ID == task.ID {
			return fmt.Errorf("after an update: %s", describe(s.tasks("each")))
		}
		return nil
	})
}

// pending is nil when a service's newest task waits for a node, with these words.
func (s *scene) pending(short, words string) error {
	tasks := s.tasks(short)
	if len(tasks) == 0 || tasks[len(tasks)-1].Status.State != swarm.TaskStatePending || tasks[len(tasks)-1].Status.Err != words {
		return fmt.Errorf("tasks %s, want one pending with %q", describe(tasks), words)
	}
	return nil
}

func noNode(s *scene) {
	s.create("web", func(spec *swarm.ServiceSpec) {
		spec.TaskTemplate.Placement = &swarm.Placement{Constraints: []string{"node.hostname==nowhere"}}
	})
	s.until(func() error {
		return s.pending("web", "no suitable node (scheduling constraints not satisfied on 1 node)")
	})
	if task := s.tasks("web")[0]; task.NodeID != "" || task.DesiredState != swarm.TaskStateRunning || task.Status.ContainerStatus != nil {
		s.t.Errorf("task %+v", task)
	}
	s.update("web", func(spec *swarm.ServiceSpec) { spec.TaskTemplate.Placement = nil })
	s.untilTasks("web", 1, swarm.TaskStateRunning)
}

func hostPort(s *scene) {
	s.create("web", all(replicas(2), func(spec *swarm.ServiceSpec) {
		spec.EndpointSpec = &swarm.EndpointSpec{Ports: []swarm.PortConfig{{TargetPort: 80, PublishedPort: 38981, PublishMode: "host"}}}
	}))
	s.untilTasks("web", 1, swarm.TaskStateRunning)
	s.until(func() error {
		waiting := inState(s.tasks("web"), swarm.TaskStatePending)
		if len(waiting) != 1 || waiting[0].Status.Err != "no suitable node (host-mode port already in use on 1 node)" {
			return fmt.Errorf("tasks %s", describe(s.tasks("web")))
		}
		return nil
	})
}

func missingImage(s *scene) {
	s.create("web", imageIs(s.world.Absent))
	rejected := s.untilTasks("web", 2, swarm.TaskStateRejected)
	for _, task := range rejected {
		if !strings.Contains(task.Status.Err, "No such image: "+s.world.Absent) || task.Status.Message != "preparing" || task.Slot != 1 || task.NodeID == "" {
			s.t.Errorf("task %+v", task.Status)
		}
	}
	if rejected[0].DesiredState != swarm.TaskStateShutdown {
		s.t.Errorf("the first is wanted %s", rejected[0].DesiredState)
	}
}

func crashLoop(s *scene) {
	s.create("web", env("CRASH_AFTER=1ms"))
	s.untilTasks("web", 3, swarm.TaskStateFailed)
	s.until(func() error { // the oldest are forgotten
		tasks := s.tasks("web")
		failed := inState(tasks, swarm.TaskStateFailed)
		if len(failed) < 4 {
			return fmt.Errorf("tasks %s", describe(tasks))
		}
		return nil
	})
	tasks := s.tasks("web")
	if len(tasks) > keptTasks+2 {
		s.t.Errorf("tasks %s", describe(tasks))
	}
	first := inState(tasks, swarm.TaskStateFailed)[0]
	if first.Slot != 1 || first.Status.Err != "task: non-zero exit (3)" || first.Status.ContainerStatus.ExitCode != 3 || first.DesiredState != swarm.TaskStateShutdown {
		s.t.Errorf("task %+v", first)
	}
}

func commandRuns(s *scene) {
	s.create("web", nil)
	id := s.untilTasks("web", 1, swarm.TaskStateRunning)[0].Status.ContainerStatus.ContainerID
	ctx := s.t.Context()
	for code, command := range map[int][]string{7: {"sh", "-c", "exit 7"}, 127: {"sh", "-c", "ls"}} {
		made, err := s.world.Swarm.ContainerExecCreate(ctx, id, containertypes.ExecOptions{Cmd: command, AttachStdout: true, AttachStderr: true})
		s.must(err)
		stream, err := s.world.Swarm.ContainerExecAttach(ctx, made.ID, containertypes.ExecAttachOptions{})
		s.must(err)
		var printed bytes.Buffer
		_, err = stdcopy.StdCopy(&printed, &printed, stream.Reader)
		s.must(err)
		stream.Close()
		ended, err := s.world.Swarm.ContainerExecInspect(ctx, made.ID)
		s.must(err)
		if ended.ExitCode != code || strings.Contains(printed.String(), "no shell") != (code == 127) {
			s.t.Errorf("%s: code %d, prints %q", command, ended.ExitCode, printed.String())
		}
	}
	_, err := s.world.Swarm.ContainerExecCreate(ctx, "absent", containertypes.ExecOptions{Cmd: []string{"sh"}})
	s.refused(err, errdefs.IsNotFound, "No such container: absent")
}

func imagesTold(s *scene) {
	ctx := s.t.Context()
	s.create("web", nil)
	s.untilTasks("web", 1, swarm.TaskStateRunning)
	_, err := s.world.Swarm.ImageInspect(ctx, s.world.Images[0])
	s.must(err)
	_, err = s.world.Swarm.ImageInspect(ctx, s.world.Absent)
	s.refused(err, errdefs.IsNotFound, "No such image: "+s.world.Absent)
	if found, err := s.world.Swarm.DistributionInspect(ctx, s.world.Absent, ""); err == nil {
		s.t.Errorf("the registry has it: %+v", found)
	}
}

func healthyTask(s *scene) {
	s.create("web", func(spec *swarm.ServiceSpec) {
		spec.TaskTemplate.ContainerSpec.Healthcheck = quickCheck()
		spec.TaskTemplate.ContainerSpec.Healthcheck.Interval = 2 * time.Second
	})
	starting := s.untilTasks("web", 1, swarm.TaskStateStarting)[0]
	task := s.untilTasks("web", 1, swarm.TaskStateRunning)[0]
	if waited := task.Status.Timestamp.Sub(starting.Status.Timestamp); waited < time.Second {
		s.t.Errorf("it ran after %s", waited)
	}
	has, err := s.world.Swarm.ContainerInspect(s.t.Context(), task.Status.ContainerStatus.ContainerID)
	s.must(err)
	if has.State.Health == nil || has.State.Health.Status != "healthy" || len(has.State.Health.Log) == 0 || has.State.Health.Log[0].ExitCode != 0 {
		s.t.Errorf("health %+v", has.State.Health)
	}
}

func unhealthyTask(s *scene) {
	s.create("web", all(restarts("none"), env("HEALTH_FAIL=1"), func(spec *swarm.ServiceSpec) {
		spec.TaskTemplate.ContainerSpec.Healthcheck = quickCheck()
	}))
	task := s.untilTasks("web", 1, swarm.TaskStateFailed)[0]
	if task.Status.Err != "task: non-zero exit (143): dockerexec: unhealthy container" || task.Status.ContainerStatus.ExitCode != 143 {
		s.t.Errorf("task %+v", task.Status)
	}
	s.until(func() error { // its end is acted on
		if tasks := s.tasks("web"); len(tasks) != 1 || tasks[0].DesiredState != swarm.TaskStateShutdown {
			return errLeft(tasks)
		}
		return nil
	})
}
