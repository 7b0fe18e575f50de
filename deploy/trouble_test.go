package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/enginetest"
	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/waitfor"
	"coin.internal/coin-agent/secrets"
)

// apply applies the stack without waiting.
func apply(tb testing.TB, engine *deploy.Engine, stack *compose.Stack) deploy.Plan {
	tb.Helper()
	plan := planFor(tb, engine, stack)
	if err := engine.Apply(tb.Context(), plan, stack, deploy.ApplyOptions{}); err != nil {
		tb.Fatal(err)
	}
	return plan
}

func soon(condition swarm.RestartPolicyCondition) *swarm.RestartPolicy {
	delay := 100 * time.Millisecond
	return &swarm.RestartPolicy{Condition: condition, Delay: &delay}
}

func TestFailures(t *testing.T) {
	_, _, engine := swarmWith(t)
	for name, test := range map[string]struct {
		service string
		change  func(*swarm.ServiceSpec)
		says    []string
		code    int
		logs    string
	}{
		"image that is not there": {
			service: "web",
			change: func(s *swarm.ServiceSpec) {
				s.TaskTemplate.ContainerSpec.Image = "127.0.0.1:1/coin/absent:1"
				s.TaskTemplate.RestartPolicy = soon("any")
			},
			says: []string{"_web: No such image: 127.0.0.1:1/coin/absent:1; its image was not found"},
		},
		"crash loop": {
			service: "web",
			change: func(s *swarm.ServiceSpec) {
				s.TaskTemplate.ContainerSpec.Env = []string{"CRASH_AFTER=1ms", anyPort}
				s.UpdateConfig.Monitor = time.Minute // a busy engine reports the end of a task seconds late
				s.TaskTemplate.RestartPolicy = soon("any")
			},
			says: []string{"_web: task: non-zero exit (3); its tasks keep failing"}, code: 3, logs: "CRASH_AFTER",
		},
		"migration": {
			service: "migrate",
			change: func(s *swarm.ServiceSpec) {
				s.TaskTemplate.ContainerSpec.Args = []string{"/job.sh", "migrate"}
				s.TaskTemplate.ContainerSpec.Env = []string{"JOB_FAIL=migrate"}
				s.TaskTemplate.RestartPolicy = soon("none")
			},
			says: []string{"_migrate: task: non-zero exit (1): ", "(JOB_FAIL); its task failed and is not restarted"}, code: 1, logs: "JOB_FAIL",
		},
		"health": {
			service: "web",
			change: func(s *swarm.ServiceSpec) {
				listens(s)
				s.TaskTemplate.ContainerSpec.Env = []string{"HEALTH_FAIL=1"}
				s.TaskTemplate.ContainerSpec.Healthcheck = healthcheck()
				s.TaskTemplate.ContainerSpec.Healthcheck.Interval, s.TaskTemplate.ContainerSpec.Healthcheck.Retries = time.Second, 1 // no second check while the container stops
				s.TaskTemplate.RestartPolicy = soon("none")
			},
			says: []string{"_web: task: non-zero exit (143)", "unhealthy container; health check: ", "; its task ended, and its restart policy does not restart it"},
		},
		"global": {
			service: "web",
			change: func(s *swarm.ServiceSpec) {
				global(s)
				s.TaskTemplate.ContainerSpec.Env = []string{"CRASH_AFTER=1ms", anyPort}
				s.UpdateConfig.Monitor = time.Minute
				s.TaskTemplate.RestartPolicy = soon("none")
			},
			says: []string{"_web: task: non-zero exit (3); its task ended, and its restart policy does not restart it"}, code: 3, logs: "CRASH_AFTER",
		},
		"no node": {
			service: "web",
			change: func(s *swarm.ServiceSpec) {
				s.TaskTemplate.Placement = &swarm.Placement{Constraints: []string{"node.hostname==nowhere"}}
				s.Labels[compose.LabelTimeout] = "1s"
			},
			says: []string{"_web: no suitable node", "not done within 1s"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			on, _, _ := swarmWith(t)
			stack := hostStack(on.Stack(t))
			add(stack, test.service, test.change)
			plan := apply(t, engine, stack)
			if name == "no node" {
				waitfor.NoError(t, 5*time.Minute, func() error { return unscheduled(on.Tasks(t, stack.Name+"_web")) })
			}
			options := deploy.VerifyOptions{Timeout: 5 * time.Minute, Changed: plan.Changed()}
			result, err := engine.Verify(t.Context(), stack, options)
			if err != nil {
				t.Fatal(err)
			}
			outcome := result.Err()
			if outcome == nil {
				t.Fatalf("no failure: %+v", result)
			}
			for _, says := range test.says {
				if !strings.Contains(outcome.Error(), says) {
					t.Errorf("%q is not in %q", says, outcome)
				}
			}
			failed := result.Services[0]
			if test.code != 0 && failed.ExitCode != test.code {
				t.Errorf("exit code %d", failed.ExitCode)
			}
			if !strings.Contains(strings.Join(failed.Logs, "\n"), test.logs) {
				t.Errorf("%q is not in the log %q", test.logs, failed.Logs)
			}
			if name == "health" && (len(failed.Health) < 2 || failed.Health[0] != "exit code 1" || !strings.Contains(failed.Health[1], "ask for health")) {
				t.Errorf("health: %q", failed.Health)
			}
			if failed.Node == "" && name != "no node" {
				t.Error("no node is named")
			}
		})
	}
}

// unscheduled gives an error until a task has found no suitable node.
func unscheduled(tasks []swarm.Task) error {
	for _, task := range tasks {
		if strings.Contains(task.Status.Err, "no suitable node") {
			return nil
		}
	}
	return fmt.Errorf("no task lacks a node: %+v", tasks)
}

func TestSecretsAreMaskedInLogs(t *testing.T) {
	on, _, engine := swarmWith(t)
	stack := hostStack(on.Stack(t))
	// The error of the program about a bad delay contains the secret.
	addSecret(stack, "canary", "1", "canary-delay")
	add(stack, "migrate", func(s *swarm.ServiceSpec) {
		s.TaskTemplate.ContainerSpec.Args = []string{"/job.sh", "migrate"}
		s.TaskTemplate.ContainerSpec.Env = []string{"JOB_DELAY=canary-delay db_password=canary-setting"}
		s.TaskTemplate.RestartPolicy = soon("none")
	})
	result := verify(t, engine, stack, apply(t, engine, stack))
	text := strings.Join(result.Services[0].Logs, "\n")
	if strings.Contains(text, "canary") || !strings.Contains(text, "***") {
		t.Errorf("log: %s", text)
	}
}

// TestLogsOfUnknownSecretsAreNotShown: logs that may contain an unknown secret are not read.
func TestLogsOfUnknownSecretsAreNotShown(t *testing.T) {
	on, _, engine := swarmWith(t)
	stack := hostStack(on.Stack(t))
	secret := addSecret(stack, "canary", "1", "canary-delay")
	add(stack, "migrate", func(s *swarm.ServiceSpec) {
		s.TaskTemplate.ContainerSpec.Args = []string{"/job.sh", "migrate"}
		s.TaskTemplate.ContainerSpec.Env = []string{"JOB_DELAY=canary-delay"}
		s.TaskTemplate.ContainerSpec.Secrets = []*swarm.SecretReference{secret}
		s.TaskTemplate.RestartPolicy = soon("none")
	})
	plan := apply(t, engine, stack)
	stack.Secrets[0].Value = secrets.Value{}
	external := *stack // as in a rollback whose files cannot be decrypted
	external.Secrets, external.ExternalSecrets = nil, []string{secret.SecretName}
	rotated := newStack(stack.Name) // and Swarm went back to the spec with the old version
	next := addSecret(rotated, "canary", "2", "next-delay")
	add(rotated, "migrate", func(s *swarm.ServiceSpec) { s.TaskTemplate.ContainerSpec.Secrets = []*swarm.SecretReference{next} })
	for name, want := range map[string]*compose.Stack{"unknown": stack, "external": &external, "rotated": rotated} {
		text := strings.Join(verify(t, engine, want, plan).Services[0].Logs, "\n")
		if strings.Contains(text, "canary-delay") || !strings.Contains(text, "not shown, because the value of secret") {
			t.Errorf("%s: log: %s", name, text)
		}
	}
}

func TestSwarmRollbackIsFailure(t *testing.T) {
	on, _, engine := swarmWith(t)
	stack := hostStack(on.Stack(t))
	add(stack, "web", func(s *swarm.ServiceSpec) {
		s.UpdateConfig.FailureAction = "rollback"
		s.RollbackConfig = &swarm.UpdateConfig{Parallelism: 1, Monitor: 300 * time.Millisecond}
		s.TaskTemplate.RestartPolicy = soon("any")
	})
	rollout(t, engine, stack)
	spec := stack.Services[stack.Name+"_web"]
	good := *spec.UpdateConfig
	env := spec.TaskTemplate.ContainerSpec.Env
	spec.TaskTemplate.ContainerSpec.Env = []string{"CRASH_AFTER=1ms", anyPort}
	spec.UpdateConfig.Monitor = 4 * time.Minute // a busy engine tells late that a task has ended
	result := verify(t, engine, stack, apply(t, engine, stack))
	if err := result.Err(); err == nil || !strings.Contains(err.Error(), "Swarm rolled the update back") ||
		result.Services[0].ExitCode != 3 {
		t.Fatalf("result: %+v", result)
	}
	// The old spec is wanted again: the earlier rollback does not count.
	spec.TaskTemplate.ContainerSpec.Env, *spec.UpdateConfig = env, good
	rollout(t, engine, stack)
}

func TestUpdateOutOfSequence(t *testing.T) {
	on, recorder, engine := swarmWith(t)
	stack := hostStack(on.Stack(t))
	add(stack, "web", nil)
	rollout(t, engine, stack)
	spec := stack.Services[stack.Name+"_web"]
	spec.TaskTemplate.ContainerSpec.Image = image2
	recorder.Reset()
	recorder.BeforeWrite(1, func(swarmtest.Call) error { // another process is faster
		on.Docker(t, "", "service", "update", "--detach", "--label-add", "foreign=1", stack.Name+"_web")
		return nil
	})
	rollout(t, engine, stack)
	if again := planFor(t, engine, stack); !again.Empty() {
		t.Errorf("then: %+v", again.Steps)
	}
}

// TestUpdateOutOfSequenceAgain has a service change before each of three tries of a write, as the
// engine changes one that is new.
func TestUpdateOutOfSequenceAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim, others := simulated(), 0
		engine, stack := deploy.New(sim.Client(enginetest.Hooks{Before: func(ctx context.Context, call enginetest.Call) error {
			if call.Method != "ServiceUpdate" || others >= 3 {
				return nil
			}
			others++
			return sim.UpdateService(ctx, "t_web", func(spec *swarm.ServiceSpec) { spec.Labels["foreign"] = strconv.Itoa(others) })
		}})), newStack("t")
		add(stack, "web", nil)
		rollout(t, engine, stack)
		spec := stack.Services["t_web"]
		spec.TaskTemplate.ContainerSpec.Image = image2
		rollout(t, engine, stack)
		if again := planFor(t, engine, stack); others != 3 || !again.Empty() {
			t.Errorf("after %d other writes: %+v", others, again.Steps)
		}
	})
}

// TestScaleUpOutOfSequence has another process write a cron service before it is scaled up again, and
// then scale it up itself.
func TestScaleUpOutOfSequence(t *testing.T) {
	for name, test := range map[string]struct {
		other uint64 // the replicas that the other process leaves
		want  uint64
		told  int
	}{
		"it only writes":    {other: 0, want: 2, told: 1},
		"it scales up, too": {other: 5, want: 5, told: 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim, written, told := simulated(), false, 0
				engine, stack, none := deploy.New(sim.Client(enginetest.Hooks{Before: func(ctx context.Context, call enginetest.Call) error {
					if call.Method != "ServiceUpdate" || written {
						return nil
					}
					written = true
					return sim.UpdateService(ctx, "t_cron", func(spec *swarm.ServiceSpec) {
						spec.Labels["foreign"], spec.Mode.Replicated = "1", &swarm.ReplicatedService{Replicas: &test.other}
					})
				}})), newStack("t"), uint64(0)
				add(stack, "cron", func(s *swarm.ServiceSpec) { s.Mode.Replicated = &swarm.ReplicatedService{Replicas: &none} })
				rollout(t, engine, stack)
				err := engine.ScaleUp(t.Context(), "t", map[string]uint64{"t_cron": 2, "t_gone": 1}, func(deploy.Event) error { told++; return nil })
				if got := *sim.State().Services["t_cron"].Spec.Mode.Replicated.Replicas; err != nil || got != test.want || told != test.told {
					t.Errorf("%d replicas, told of %d steps, %v", got, told, err)
				}
			})
		})
	}
}

func TestKillAtEachWrite(t *testing.T) {
	on, recorder, engine := swarmWith(t)
	stack := hostStack(on.Stack(t))
	add(stack, "cron_service", nil)
	add(stack, "old", nil)
	rollout(t, engine, stack)
	delete(stack.Services, stack.Name+"_old")
	add(stack, "new", nil)
	reference := addSecret(stack, "db_access", "1", "canary-content")
	spec := stack.Services[stack.Name+"_cron_service"]
	spec.TaskTemplate.ContainerSpec.Secrets = []*swarm.SecretReference{reference}
	steps := len(planFor(t, engine, stack).Steps)
	if steps != 5 {
		t.Fatalf("%d steps", steps)
	}
	for n := range steps {
		recorder.Reset()
		ctx, kill := context.WithCancel(t.Context())
		recorder.BeforeWrite(2, func(swarmtest.Call) error { kill(); return errors.New("killed") }) // one step further each time
		err := engine.Apply(ctx, planFor(t, engine, stack), stack, deploy.ApplyOptions{})
		kill()
		if err == nil {
			break
		}
		if !strings.Contains(err.Error(), "killed") && !errors.Is(err, context.Canceled) {
			t.Fatalf("step %d: %v", n, err)
		}
	}
	recorder.Reset()
	rollout(t, engine, stack)
	if again := planFor(t, engine, stack); !again.Empty() {
		t.Errorf("then: %+v", again.Steps)
	}
}

func TestCronScalesUpAfterFailure(t *testing.T) {
	on, recorder, engine := swarmWith(t)
	stack := hostStack(on.Stack(t))
	add(stack, "cron_service", nil)
	rollout(t, engine, stack)
	addSecret(stack, "db_access", "1", "canary-content")
	recorder.Reset()
	recorder.BeforeWrite(2, func(swarmtest.Call) error { return errors.New("no disk") })
	if err := engine.Apply(t.Context(), planFor(t, engine, stack), stack, deploy.ApplyOptions{}); err == nil || !strings.Contains(err.Error(), "no disk") {
		t.Fatalf("the failing write: %v", err)
	}
	live, err := engine.ObserveServices(t.Context(), stack.Name)
	if err != nil {
		t.Fatal(err)
	}
	if cron := live[stack.Name+"_cron_service"]; *cron.Spec.Mode.Replicated.Replicas != 1 {
		t.Errorf("cron_service is left with %d replicas", *cron.Spec.Mode.Replicated.Replicas)
	}
}

func TestMismatchedSecrets(t *testing.T) {
	on, recorder, engine := swarmWith(t)
	stack := hostStack(on.Stack(t))
	addSecret(stack, "a", "1", "canary-a")
	addSecret(stack, "b", "1", "canary-b")
	apply(t, engine, stack)
	live, err := engine.Observe(t.Context(), stack)
	if err != nil {
		t.Fatal(err)
	}
	key := []byte("fingerprint key")
	recorder.Reset()
	mismatched, known, err := engine.Mismatched(t.Context(), live, stack, nil, key)
	if err != nil || len(mismatched) > 0 || len(known) != 2 || len(recorder.Writes()) != 2 {
		t.Errorf("mismatched %v, known %v, %v, writes %v", mismatched, known, err, recorder.Writes())
	}
	stack.Secrets[1].Value = secrets.NewValue([]byte("canary-other"))
	for name, fingerprints := range map[string]map[string]string{"unknown": nil, "known": known} {
		recorder.Reset()
		mismatched, _, err = engine.Mismatched(t.Context(), live, stack, fingerprints, key)
		if diff := cmp.Diff([]string{stack.Name + "_b.1"}, mismatched); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if err == nil || strings.Contains(err.Error(), "canary") || fault.Hint(fault.All(err)[0]) != "raise SV_b" {
			t.Errorf("%s: %v — %s", name, err, fault.Hint(err))
		}
		if calls := recorder.Calls(); fingerprints != nil && len(calls) > 0 {
			t.Errorf("asked the engine for what is known: %v", calls)
		}
	}
}
