package deploy_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// ending makes a service a one-shot service.
func ending(s *swarm.ServiceSpec) {
	s.TaskTemplate.ContainerSpec.Args = []string{"/job.sh", "migrate"}
	s.TaskTemplate.RestartPolicy = soon("none")
}

func inWave(label string) func(*swarm.ServiceSpec) {
	return func(s *swarm.ServiceSpec) { s.Labels[compose.LabelWave] = label }
}

// unowned makes a service one that another tool deployed.
func unowned(change func(*swarm.ServiceSpec)) func(*swarm.ServiceSpec) {
	return func(s *swarm.ServiceSpec) {
		delete(s.Labels, compose.LabelOwner)
		if change != nil {
			change(s)
		}
	}
}

// waveLines renders the services' steps as "wave action name".
func waveLines(plan deploy.Plan) []string {
	var all []string
	for _, step := range plan.Steps {
		if step.Kind == deploy.Service {
			all = append(all, fmt.Sprintf("%d %s %s", step.Wave, step.Action, strings.TrimPrefix(step.Name, plan.Stack+"_")))
		}
	}
	return all
}

func TestWavesOfPlan(t *testing.T) {
	for name, test := range map[string]struct {
		live, want map[string]func(*swarm.ServiceSpec)
		waves      map[string]int // as config.yml says
		lines      []string
		warns      string
	}{
		"one wave has no number": {
			want:  map[string]func(*swarm.ServiceSpec){"web": nil, "api": nil, "cron_service": nil},
			lines: []string{"0 create api", "0 create web", "0 create cron_service"},
		},
		"one-shot services come first": {
			want: map[string]func(*swarm.ServiceSpec){"api": nil, "cron_service": nil, "migrate": ending, "seed": func(s *swarm.ServiceSpec) {
				s.Mode, s.UpdateConfig = swarm.ServiceMode{ReplicatedJob: &swarm.ReplicatedJob{}}, nil
			}, "migrate_forever": nil},
			lines: []string{"1 create migrate", "1 create seed", "2 create api", "2 create migrate_forever", "2 create cron_service"},
		},
		"config.yml says it all, whom it does not name rolls last": {
			want:  map[string]func(*swarm.ServiceSpec){"api": nil, "web": nil, "other": nil, "migrate": ending},
			waves: map[string]int{"s_web": 1, "s_api": 2},
			lines: []string{"1 create web", "2 create api", "3 create migrate", "3 create other"},
			warns: "s_migrate ends by itself",
		},
		"a label beats both": {
			want:  map[string]func(*swarm.ServiceSpec){"api": inWave("4"), "web": nil, "other": nil},
			waves: map[string]int{"s_web": 1, "s_api": 2},
			lines: []string{"1 create web", "4 create api", "5 create other"},
		},
		"labels alone leave jobs first": {
			want:  map[string]func(*swarm.ServiceSpec){"api": inWave("2"), "web": nil, "migrate": ending},
			lines: []string{"1 create migrate", "2 create api", "3 create web"},
		},
		"labels alone have no waves": {
			live:  map[string]func(*swarm.ServiceSpec){"api": unowned(nil), "migrate": unowned(ending)},
			want:  map[string]func(*swarm.ServiceSpec){"api": nil, "migrate": ending},
			lines: []string{"0 update api", "0 update migrate"},
		},
		"removals and cron services come last": {
			live:  map[string]func(*swarm.ServiceSpec){"old": nil, "cron_service": nil},
			want:  map[string]func(*swarm.ServiceSpec){"migrate": ending, "cron_service": inWave("1")},
			lines: []string{"0 scale-down cron_service", "1 create migrate", "2 update cron_service", "2 remove old"},
		},
		"a port is released in the wave of the one that takes it": {
			live:  map[string]func(*swarm.ServiceSpec){"old": published(80), "z": published(81)},
			want:  map[string]func(*swarm.ServiceSpec){"migrate": ending, "a": published(80), "b": published(81), "z": published(82)},
			lines: []string{"1 create migrate", "2 remove old", "2 update z", "2 create a", "2 create b"},
		},
		"a service waits for its port": {
			live:  map[string]func(*swarm.ServiceSpec){"z": published(81)},
			want:  map[string]func(*swarm.ServiceSpec){"b": published(81), "z": published(82), "c": nil},
			waves: map[string]int{"s_b": 1, "s_c": 1, "s_z": 2},
			lines: []string{"1 create c", "2 update z", "2 create b"},
			warns: "s_b is in wave 2, not 1: it takes over port 81/tcp from s_z",
		},
	} {
		t.Run(name, func(t *testing.T) {
			lives, wants := newStack("s"), newStack("s")
			wants.Waves = test.waves
			for short, change := range test.live {
				add(lives, short, change)
			}
			for short, change := range test.want {
				add(wants, short, change)
			}
			plan, err := deploy.Diff(liveOf(lives), wants)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.lines, waveLines(plan)); diff != "" {
				t.Error(diff)
			}
			if warnings := strings.Join(plan.Warnings, "\n"); !strings.Contains(warnings, test.warns) || test.warns == "" && warnings != "" {
				t.Errorf("warnings %q, want %q", warnings, test.warns)
			}
		})
	}
}

// TestLabelOfWaveWritesNothing changes only the label.
func TestLabelOfWaveWritesNothing(t *testing.T) {
	lives, wants := newStack("s"), newStack("s")
	add(lives, "a", inWave("1"))
	add(wants, "a", inWave("2"))
	plan, err := deploy.Diff(liveOf(lives), wants)
	if err != nil || !plan.Empty() {
		t.Errorf("steps %+v, %v", plan.Steps, err)
	}
	if written := deploy.Settle(wants.Services["s_a"], lives.Services["s_a"]); written.Labels[compose.LabelWave] != "2" {
		t.Errorf("labels %v", written.Labels)
	}
}

// randomStack has services of all kinds, in waves of all kinds.
func randomStack(random *rand.Rand) *compose.Stack {
	stack := newStack("s")
	if random.IntN(2) == 0 {
		stack.Waves = map[string]int{}
	}
	for _, short := range []string{"a", "b", "c", "d", "migrate", "test_setup", "cron_x", "cron_y"} {
		if random.IntN(4) == 0 {
			continue
		}
		add(stack, short, func(s *swarm.ServiceSpec) {
			if port := 80 + random.Uint32N(6); port < 84 && len(meshOwner(stack, port)) == 0 {
				published(port)(s)
			}
			if strings.Contains(short, "_setup") || short == "migrate" {
				ending(s)
			}
			if random.IntN(3) == 0 {
				inWave(fmt.Sprint(1 + random.IntN(3)))(s)
			}
			s.TaskTemplate.ContainerSpec.Image = fmt.Sprint("app:", random.IntN(3))
		})
		if stack.Waves != nil && random.IntN(2) == 0 {
			stack.Waves["s_"+short] = 1 + random.IntN(3)
		}
	}
	return stack
}

func meshOwner(stack *compose.Stack, port uint32) string {
	for name, spec := range stack.Services {
		if spec.EndpointSpec != nil && len(spec.EndpointSpec.Ports) > 0 && spec.EndpointSpec.Ports[0].PublishedPort == port {
			return name
		}
	}
	return ""
}

// TestWavesHoldForAnyStack checks rules for any two stacks: no step of a wave precedes a
// step of an earlier wave, cron services scale down first and scale up last, a wave waits
// for all services of earlier waves, and the plan is the same each time.
func TestWavesHoldForAnyStack(t *testing.T) {
	exchanges := 0
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // the same numbers each time
		lives, wants := randomStack(random), randomStack(random)
		plan, err := deploy.Diff(liveOf(lives), wants)
		if err != nil && strings.Contains(err.Error(), "exchange published ports") {
			exchanges++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		again, err := deploy.Diff(liveOf(lives), wants)
		if err != nil || again.Digest() != plan.Digest() {
			t.Fatalf("seed %d: two digests, %v", seed, err)
		}
		checkOrder(t, seed, plan)
		before := 0
		for _, stop := range plan.Waves(wants) {
			if stop.Before <= before-1 || plan.Steps[stop.Before].Wave != stop.Number || len(stop.Stack.Services) == 0 {
				t.Fatalf("seed %d: stop %+v", seed, stop)
			}
			before = stop.Before
			for _, step := range plan.Steps[:stop.Before] {
				_, wanted := wants.Services[step.Name]
				if _, waited := stop.Stack.Services[step.Name]; step.Wave > 0 && wanted && !waited {
					t.Fatalf("seed %d: wave %d does not wait for %s", seed, stop.Number, step.Name)
				}
			}
			for _, name := range stop.Later {
				if slices.ContainsFunc(plan.Steps[:stop.Before], func(s deploy.Step) bool { return s.Name == name }) {
					t.Fatalf("seed %d: %s is called untouched", seed, name)
				}
			}
		}
	}
	if exchanges == 0 || exchanges > 1000 {
		t.Errorf("%d of the stacks exchange ports", exchanges)
	}
}

func checkOrder(t *testing.T, seed uint64, plan deploy.Plan) {
	t.Helper()
	wave, back := 0, false
	for _, step := range plan.Steps {
		if step.Kind != deploy.Service {
			continue
		}
		cron := strings.HasPrefix(step.Name, "s_cron")
		down := step.Action == deploy.ScaleDown
		if step.Wave < wave || down && wave > 0 || back && !cron && step.Action != deploy.Remove {
			t.Fatalf("seed %d: %s %s is out of order: %v", seed, step.Action, step.Name, waveLines(plan))
		}
		wave, back = step.Wave, back || cron && !down && step.Action != deploy.Remove
	}
}
