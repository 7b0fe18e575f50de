package agent_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/enginetest"
)

// calls counts the calls of an engine by their names.
type calls struct {
	mu    sync.Mutex
	count map[string]int
}

func (c *calls) add(_ context.Context, call enginetest.Call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count[call.Method]++
	return nil
}

// take gives the counts since they were taken last.
func (c *calls) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.count
	c.count = map[string]int{}
	return taken
}

// onSimulated has the agent work with a simulated engine, whose calls are counted.
func onSimulated(w *world, images ...string) (*enginetest.Engine, *calls) {
	sim, counted := enginetest.New(enginetest.Options{}), &calls{count: map[string]int{}}
	for _, image := range images {
		sim.Image(image, enginetest.DemoApp())
	}
	engine := deploy.New(sim.Client(enginetest.Hooks{Before: counted.add}))
	w.change = func(parts *agent.Parts) { parts.Engine, parts.Tasks = engine, deploy.TasksOf(engine) }
	return sim, counted
}

// A look that finds nothing to do lists the services of all stacks with one call. A stack that is
// written is read on its own.
func TestReadsOfSeveralStacks(t *testing.T) {
	inWorld(t, func(w *world) {
		sim, counted := onSimulated(w, "proxy:1", "db:1", "app:1", "app:2")
		commit := threeStacks(w)
		w.pass(10 * interval)
		for _, key := range []record.StackKey{"system", "platform", "business"} {
			w.lastOf(key, commit, record.Succeeded)
		}
		counted.take()
		looks := w.listings()
		w.pass(10 * interval)
		looks = w.listings() - looks
		if got := counted.take(); looks < 8 || got["ServiceList"] != looks || len(got) != 1 {
			t.Errorf("calls in %d looks: %v", looks, got)
		}

		if err := sim.RemoveService(t.Context(), "platform_db"); err != nil {
			t.Fatal(err)
		}
		w.poll()
		if drift := w.of("platform").Status().Drift; len(drift) != 1 || drift[0].Name != "platform_db" {
			t.Errorf("drift %v", drift)
		}
		if drift := w.of("business").Status().Drift; len(drift) != 0 {
			t.Errorf("drift of another stack: %v", drift)
		}
		path, content := w.edit("business", "web", "app:2")
		second := w.commit("second", path, content)
		w.pass(4 * interval)
		w.lastOf("business", second, record.Succeeded)
		if services := w.of("business").Status().Services; len(services) != 1 || services[0].Image != "app:2" {
			t.Errorf("services %+v", services)
		}
	})
}

// The registry is asked once for an image that several stacks run, while they are rolled out in a row.
func TestRegistryIsAskedOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		_, counted := onSimulated(w, "app:1", "app:2", "proxy:1", "db:1")
		threeStacks(w)
		w.pass(10 * interval)
		counted.take()
		var changes []string
		for _, stack := range []string{"system", "platform", "business"} {
			changes = append(changes, nodeDir+stack+"/docker-compose.yml", "services: {web: {image: \"app:2\", deploy: {replicas: 0}}}\n")
		}
		commit := w.commit("one image", changes...)
		w.pass(10 * interval)
		for _, key := range []record.StackKey{"system", "platform", "business"} {
			w.lastOf(key, commit, record.Succeeded)
		}
		if asked := counted.take()["DistributionInspect"]; asked != 1 {
			t.Errorf("asked %d times", asked)
		}
	})
}

// A sync lists the services for its plan and for its result, and afterwards the services of all stacks
// for the versions of secrets and configs that are in use. The look that it is part of shows what the wait
// for the services has read, and lists none. The wait for services that have no tasks is one reading.
func TestReadsOfChange(t *testing.T) {
	inWorld(t, func(w *world) {
		_, counted := onSimulated(w, "app:1", "app:2")
		w.commit("1", nodeDir+"docker-compose.yml", "services: {web: {image: \"app:$TAG\", deploy: {replicas: 0}}}\n")
		w.start()
		w.pass(4 * interval)
		w.wantLast(w.revision.Commit, record.Succeeded)
		counted.take()
		looks := w.listings()
		w.commit("2", nodeDir+"node.env", "TAG=2\n")
		w.pass(4 * interval)
		w.wantLast(w.revision.Commit, record.Succeeded)
		looks = w.listings() - looks
		if calls := counted.take(); calls["ServiceList"] != looks-1+3 || calls["ServiceUpdate"] != 1 || calls["TaskList"] != 1 {
			t.Errorf("calls in %d looks: %v", looks, calls)
		}
	})
}

// BenchmarkTenStacks is an idle look at ten stacks of twenty services each. Before, it takes them
// from nothing to their end. The time is that of the machine, in which the world's time jumps.
func BenchmarkTenStacks(b *testing.B) {
	turns, over := make(chan struct{}), make(chan map[string]int)
	began := time.Now()
	go testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "world", F: func(t *testing.T) {
		t.Helper()
		defer close(over)
		inWorld(t, func(w *world) {
			_, counted := onSimulated(w, "app:1")
			startTenStacks(w)
			over <- counted.take()
			for range turns {
				w.pass(interval)
				over <- counted.take()
			}
		})
	}}})
	first := <-over
	took := time.Since(began)
	reads, looks := 0, 0
	b.ReportAllocs()
	for b.Loop() {
		turns <- struct{}{}
		for _, count := range <-over {
			reads += count
		}
		looks++
	}
	close(turns)
	<-over
	b.ReportMetric(float64(reads)/float64(looks), "calls/op")
	b.ReportMetric(took.Seconds(), "first-apply-s")
	b.Logf("calls of the first apply: %v", first)
}

// startTenStacks has the agent roll out ten stacks of twenty services.
func startTenStacks(w *world) {
	var listed, files []string
	for i := range 10 {
		listed = append(listed, fmt.Sprintf("{name: stack%d}", i))
		services := "services:\n"
		for j := range 20 {
			services += fmt.Sprintf("  app%d: {image: \"app:1\"}\n", j)
		}
		files = append(files, fmt.Sprintf("%sstack%d/docker-compose.yml", nodeDir, i), services)
	}
	commit := w.commit("ten", append(files, configFile, layers(listed...))...)
	w.start()
	for range 100 {
		w.pass(interval)
		if sync, err := w.store.Stack("stack9").LastSync(); err == nil && sync != nil && sync.State == record.Succeeded {
			break
		}
	}
	w.lastOf("stack9", commit, record.Succeeded)
}
