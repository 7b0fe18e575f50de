package deploy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

// TestAllFailuresAreReported has a failed service, one with a pending error, a slow
// one, and a healthy one.
func TestAllFailuresAreReported(t *testing.T) {
	on, _, engine := swarmWith(t)
	stack := hostStack(on.Stack(t))
	add(stack, "absent", func(s *swarm.ServiceSpec) {
		s.TaskTemplate.ContainerSpec.Image = "127.0.0.1:1/coin/absent:1"
		s.TaskTemplate.RestartPolicy = soon("any")
	})
	add(stack, "homeless", func(s *swarm.ServiceSpec) {
		s.TaskTemplate.Placement = &swarm.Placement{Constraints: []string{"node.hostname==nowhere"}}
	})
	add(stack, "slow", func(s *swarm.ServiceSpec) { s.UpdateConfig.Monitor = 24 * time.Hour })
	add(stack, "well", replicated(0))
	plan := apply(t, engine, stack)
	result, err := engine.Verify(t.Context(), stack, deploy.VerifyOptions{Timeout: 24 * time.Hour, Changed: plan.Changed()}) // which is not waited for
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"service NAME_absent: No such image: 127.0.0.1:1/coin/absent:1; its image was not found",
		"service NAME_homeless: no suitable node (scheduling constraints not satisfied on 1 node); not ready when the wait ended: 0 of 1 tasks run",
		"not ready when the wait ended: NAME_slow ",
	}
	faults := fault.All(result.Err())
	if len(faults) != len(want) {
		t.Fatalf("faults: %v", faults)
	}
	for i, one := range faults {
		if says := strings.ReplaceAll(want[i], "NAME", stack.Name); !strings.HasPrefix(one.Error(), says) {
			t.Errorf("got %s\nwant %s", one, says)
		}
	}
}

// TestUpdateIsWatchedForItsMonitorTime has a task that is healthy at once and fails a
// little later. With the failure action continue, Swarm itself does not wait for that.
func TestUpdateIsWatchedForItsMonitorTime(t *testing.T) {
	on, _, engine := swarmWith(t)
	stack := hostStack(on.Stack(t))
	add(stack, "web", func(s *swarm.ServiceSpec) {
		listens(s)
		s.TaskTemplate.ContainerSpec.Healthcheck = healthcheck()
		s.TaskTemplate.RestartPolicy = soon("none")
	})
	rollout(t, engine, stack)
	spec := stack.Services[stack.Name+"_web"]
	spec.TaskTemplate.ContainerSpec.Env = []string{"CRASH_AFTER=3s"}
	spec.UpdateConfig.FailureAction, spec.UpdateConfig.Monitor = "continue", 30*time.Second // a busy engine tells seconds late that a task has ended
	result := verify(t, engine, stack, apply(t, engine, stack))
	if one := result.Services[0]; one.State != deploy.Failed || one.ExitCode != 3 {
		t.Errorf("%+v", one)
	}
}

// TestMendedCause returns to a spec that had crashed, on a real engine: the image is on the
// node alone, and its tag moves from a program that crashes to one that runs.
func TestMendedCause(t *testing.T) {
	on, _, engine := swarmWith(t)
	stack := hostStack(on.Stack(t))
	image := "coin/" + stack.Name + ":1"
	made := strings.TrimSpace(on.Docker(t, "", "create", image1))
	on.Docker(t, "", "commit", "--change", "ENV CRASH_AFTER=1ms", made, image)
	on.Docker(t, "", "rm", made)
	mendedCause(t, engine, stack, image, func() { on.Docker(t, "", "tag", image1, image) })
}

// TestHealthCheckOfImage fails without a health check in the compose file.
func TestHealthCheckOfImage(t *testing.T) {
	on, _, engine := swarmWith(t)
	stack := hostStack(on.Stack(t))
	image := "coin/healthcheck:" + stack.Name
	made := strings.TrimSpace(on.Docker(t, "", "create", image1))
	on.Docker(t, "", "commit", "--change", `HEALTHCHECK --interval=1s --retries=1 CMD ["/app", "health"]`, made, image)
	on.Docker(t, "", "rm", made)
	add(stack, "web", func(s *swarm.ServiceSpec) {
		s.TaskTemplate.ContainerSpec.Image, s.Labels[compose.LabelImage] = image, image
		listens(s)
		s.TaskTemplate.ContainerSpec.Env = []string{"HEALTH_FAIL=1"}
		s.TaskTemplate.RestartPolicy = soon("none")
	})
	one := verify(t, engine, stack, apply(t, engine, stack)).Services[0]
	if one.State != deploy.Failed || len(one.Health) < 2 || !strings.Contains(one.Health[1], "503") {
		t.Errorf("%+v", one)
	}
}

// TestOneShotIsNotRolledBack updates a one-shot service whose update Swarm would roll
// back although the task exits with 0.
func TestOneShotIsNotRolledBack(t *testing.T) {
	on, _, engine := swarmWith(t)
	stack := hostStack(on.Stack(t))
	add(stack, "migrate", func(s *swarm.ServiceSpec) {
		s.TaskTemplate.ContainerSpec.Args = []string{"/job.sh", "migrate"}
		s.TaskTemplate.RestartPolicy = soon("none")
		s.UpdateConfig.FailureAction, s.UpdateConfig.Monitor = "rollback", 3*time.Second
	})
	rollout(t, engine, stack)
	stack.Services[stack.Name+"_migrate"].TaskTemplate.ContainerSpec.Image = image2
	rollout(t, engine, stack)
	if again := rollout(t, engine, stack); !again.Empty() {
		t.Errorf("then: %+v", again.Steps)
	}
	if tasks := on.Tasks(t, stack.Name+"_migrate"); len(tasks) != 1 || tasks[0].Spec.ContainerSpec.Image != image2 {
		t.Errorf("tasks: %+v", tasks)
	}
}

// TestFailedSwarmRollback removes what the old spec needs before the update fails.
func TestFailedSwarmRollback(t *testing.T) {
	on, _, engine := swarmWith(t)
	stack := hostStack(on.Stack(t))
	folder := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(folder, 0o755); err != nil { //nolint:gosec // the engine's containers read it
		t.Fatal(err)
	}
	add(stack, "web", func(s *swarm.ServiceSpec) {
		s.TaskTemplate.ContainerSpec.Mounts = []mount.Mount{{Type: mount.TypeBind, Source: folder, Target: "/data"}}
		s.TaskTemplate.RestartPolicy = soon("any")
		s.UpdateConfig.FailureAction = "rollback"
		s.RollbackConfig = &swarm.UpdateConfig{Parallelism: 1, Monitor: 3 * time.Second}
	})
	rollout(t, engine, stack)
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	spec := stack.Services[stack.Name+"_web"]
	spec.TaskTemplate.ContainerSpec.Mounts, spec.TaskTemplate.ContainerSpec.Env = nil, []string{"CRASH_AFTER=1ms", anyPort}
	spec.UpdateConfig.Monitor = 4 * time.Minute // a busy engine tells late that a task has ended
	apply(t, engine, stack)
	result, err := engine.Verify(t.Context(), stack, deploy.VerifyOptions{Timeout: 5 * time.Minute}) // as after a restart of the agent
	if one := result.Services[0]; err != nil || one.State != deploy.Failed || !strings.HasPrefix(one.Message, "Swarm rolled the update back") || one.Error == "" {
		t.Fatalf("%+v, %v", one, err)
	}
}

// TestTimeoutLabelAloneIsNotWritten changes only the label, then another field as well.
func TestTimeoutLabelAloneIsNotWritten(t *testing.T) {
	lives, wants := newStack("s"), newStack("s")
	add(lives, "a", func(s *swarm.ServiceSpec) { s.Labels[compose.LabelTimeout] = "1m" })
	add(wants, "a", nil)
	if plan, err := deploy.Diff(liveOf(lives), wants); err != nil || !plan.Empty() {
		t.Errorf("steps %+v, %v", plan.Steps, err)
	}
	if written := deploy.Settle(wants.Services["s_a"], lives.Services["s_a"]); written.Labels[compose.LabelTimeout] != "" {
		t.Errorf("labels %v", written.Labels)
	}
	wants.Services["s_a"].Labels[compose.LabelTimeout] = "2m"
	if written := deploy.Settle(wants.Services["s_a"], lives.Services["s_a"]); written.Labels[compose.LabelTimeout] != "2m" {
		t.Errorf("labels %v", written.Labels)
	}
}
