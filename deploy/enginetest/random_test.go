package enginetest_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/deploy/enginetest"
)

// TestRandomChanges changes services at random, restarts the engine in between, and
// expects Swarm to come to the last specs in the end.
func TestRandomChanges(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 0))
				engine := enginetest.New(enginetest.Options{Seed: seed, Nodes: []string{"a", "b"}[:1+seed%2]})
				for _, image := range randomImages {
					engine.Image(image.name, image.traits...)
				}
				if seed%3 == 0 {
					engine.Client(enginetest.Hooks{}).Events(t.Context(), events.ListOptions{})
				}
				for range 40 {
					changeAtRandom(t, engine, random)
					time.Sleep(time.Duration(random.ExpFloat64() * float64(2*time.Second)))
				}
				time.Sleep(time.Second) // Swarm itself may stop half way when it is changed while it removes tasks
				for _, name := range slices.Sorted(maps.Keys(engine.State().Services)) {
					if err := engine.UpdateService(t.Context(), name, func(spec *swarm.ServiceSpec) { settle(spec, random, "good:1") }); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(5 * time.Minute)
				expectAllToRun(t, seed, engine.State())
			})
		})
	}
}

var randomImages = []struct {
	name   string
	traits []enginetest.Trait
}{
	{"good:1", nil},
	{"crash:1", []enginetest.Trait{enginetest.Crashes(1, time.Second)}},
	{"late:1", []enginetest.Trait{enginetest.Crashes(2, 20*time.Second)}},
	{"once:1", []enginetest.Trait{enginetest.Completes(time.Second)}},
	{"ill:1", []enginetest.Trait{enginetest.Unhealthy(), enginetest.Checked()}},
	{"sick:1", []enginetest.Trait{enginetest.SickAfter(10 * time.Second), enginetest.Checked()}},
	{"missing:1", []enginetest.Trait{enginetest.Missing()}},
	{"refused:1", []enginetest.Trait{enginetest.Refused("invalid mount config")}},
}

// settle gives a service an image, and settings at random.
func settle(spec *swarm.ServiceSpec, random *rand.Rand, image string) {
	count, delay, attempts := uint64(random.IntN(4)), time.Duration(random.IntN(3))*time.Second, uint64(random.IntN(3))
	if spec.Mode.Global == nil {
		spec.Mode.Replicated = &swarm.ReplicatedService{Replicas: &count}
	}
	spec.TaskTemplate.ContainerSpec.Image = image
	spec.TaskTemplate.ContainerSpec.Env = []string{fmt.Sprint("N=", random.IntN(1000))}
	spec.TaskTemplate.RestartPolicy = &swarm.RestartPolicy{Delay: &delay, MaxAttempts: &attempts}
	spec.TaskTemplate.RestartPolicy.Condition = []swarm.RestartPolicyCondition{"any", "on-failure", "none"}[random.IntN(3)]
	spec.UpdateConfig = &swarm.UpdateConfig{
		Parallelism: uint64(random.IntN(3)), Delay: time.Duration(random.IntN(2)) * time.Second, Monitor: time.Duration(random.IntN(5)) * time.Second,
		FailureAction: []string{"pause", "continue", "rollback"}[random.IntN(3)], Order: []string{"stop-first", "start-first"}[random.IntN(2)],
	}
	spec.RollbackConfig = &swarm.UpdateConfig{FailureAction: []string{"pause", "continue", "rollback"}[random.IntN(3)]}
}

func changeAtRandom(t *testing.T, engine *enginetest.Engine, random *rand.Rand) {
	t.Helper()
	name := fmt.Sprint("s", random.IntN(3))
	image := randomImages[random.IntN(len(randomImages))].name
	_, there := engine.State().Services[name]
	var err error
	switch what := random.IntN(20); {
	case what == 0:
		engine.Stop()
		time.Sleep(time.Duration(random.IntN(10)) * time.Second)
		engine.Start()
	case !there:
		spec := service(name, image)
		if random.IntN(3) == 0 {
			spec.Mode.Global = &swarm.GlobalService{}
		}
		settle(&spec, random, image)
		create(t, engine, spec)
	case what == 1:
		err = engine.RemoveService(t.Context(), name)
	case what == 2:
		_ = engine.RollBackService(t.Context(), name) // refused where there is nothing to go back to
	case what < 5:
		err = engine.UpdateService(t.Context(), name, func(*swarm.ServiceSpec) {})
	default:
		err = engine.UpdateService(t.Context(), name, func(spec *swarm.ServiceSpec) { settle(spec, random, image) })
	}
	if err != nil {
		t.Fatal(err)
	}
}

// expectAllToRun expects the tasks that the services declare, and of no other service.
func expectAllToRun(t *testing.T, seed uint64, state enginetest.State) {
	t.Helper()
	for name, one := range state.Services {
		wanted := 1 + int(seed%2) // nodes
		if one.Spec.Mode.Replicated != nil {
			wanted = int(*one.Spec.Mode.Replicated.Replicas)
		}
		running := 0
		for _, task := range state.Tasks[name] {
			if task.DesiredState != swarm.TaskStateRunning {
				continue
			}
			if task.Status.State == swarm.TaskStateRunning && task.Spec.ContainerSpec.Image == "good:1" {
				running++
			}
		}
		if running != wanted {
			t.Errorf("%d tasks of %s run, want %d: update %+v, restarts %+v", running, name, wanted, one.UpdateStatus, one.Spec.TaskTemplate.RestartPolicy)
			for _, task := range state.Tasks[name] {
				t.Logf("created %s slot %d %s: %s, wanted %s: %s", task.CreatedAt.Format(time.TimeOnly), task.Slot, task.Spec.ContainerSpec.Image, task.Status.State, task.DesiredState, task.Status.Err)
			}
		}
	}
	for name := range state.Tasks {
		if _, there := state.Services[name]; !there {
			t.Errorf("tasks of %s are left", name)
		}
	}
}
