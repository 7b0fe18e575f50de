package health_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/deploy"
)

// look is one look: the running tasks of web and worker, of two and one, and how many tasks
// of web have ended by then.
type look struct {
	web, worker uint64
	ended       int
	want        string
}

// ended is what Swarm has of ended tasks.
type ended map[string][]deploy.EndedTask

func (e ended) Ended(context.Context, string, []deploy.ServiceStatus) (map[string][]deploy.EndedTask, error) {
	return e, nil
}

// see gives what each look is judged to be, as state and text.
func see(t *testing.T, every time.Duration, looks []look) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { seeIn(t, every, looks) })
}

func seeIn(t *testing.T, every time.Duration, looks []look) {
	t.Helper()
	swarm := ended{}
	watch := &health.Watch{Tasks: swarm}
	watch.Deployed(time.Now())
	var got, want []string
	tasks := map[string][]deploy.EndedTask{}
	for _, one := range looks {
		services := []deploy.ServiceStatus{
			{Name: "s_web", Running: one.web, Desired: 2},
			{Name: "s_worker", Running: one.worker, Desired: 1},
			{Name: "s_migrate", Running: 0, Desired: 1, Completed: 1, OneShot: true},
		}
		for len(tasks["s_web"]) < one.ended {
			id := fmt.Sprint(len(tasks["s_web"]))
			tasks["s_web"] = append(tasks["s_web"], deploy.EndedTask{ID: id, At: time.Now(), ExitCode: 3, Error: "task: non-zero exit (3)"})
		}
		swarm["s_web"] = tasks["s_web"][max(0, len(tasks["s_web"])-5):] // Swarm keeps five
		watch.Died()
		verdict, err := watch.Look(t.Context(), "s", services)
		if err != nil {
			t.Fatal(err)
		}
		got, want = append(got, string(verdict.State)+": "+verdict.Text()), append(want, one.want)
		time.Sleep(every)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

const well = "healthy: 3 of 3 services run"

// What is seen once changes nothing, neither to the worse nor to the better.
func TestOneLookChangesNothing(t *testing.T) {
	see(t, 30*time.Second, []look{
		{2, 1, 0, well},
		{1, 1, 0, "healthy: 2 of 3 services run"},
		{2, 1, 0, well},
		{1, 1, 0, "healthy: 2 of 3 services run"},
		{1, 1, 0, "degraded: web 1/2 · 2 of 3 services run"},
		{2, 1, 0, "degraded: web 2/2 · 3 of 3 services run"},
		{1, 1, 0, "degraded: web 1/2 · 2 of 3 services run"},
		{2, 1, 0, "degraded: web 2/2 · 3 of 3 services run"},
		{2, 1, 0, well},
	})
}

// A service without a task, which is not restarted either, makes the stack unhealthy.
func TestNoTask(t *testing.T) {
	see(t, 30*time.Second, []look{
		{2, 0, 0, "healthy: 2 of 3 services run"},
		{2, 0, 0, "unhealthy: worker 0/1 · 2 of 3 services run"},
		{1, 0, 0, "unhealthy: worker 0/1 · 1 of 3 services run"},
		{1, 0, 0, "unhealthy: worker 0/1 · web 1/2 · 1 of 3 services run"},
	})
}

// A crash loop is degraded from the third crash on, also while the task happens to run, and
// until the window is over; more than five crashes are counted.
func TestCrashLoop(t *testing.T) {
	looks := []look{
		{2, 1, 1, well},
		{1, 1, 2, "healthy: 2 of 3 services run"},
		{2, 1, 3, "degraded: web 2/2 (exit 3, 3 restarts in 10 min) · 3 of 3 services run"},
	}
	for n := 4; n <= 20; n++ {
		looks = append(looks, look{uint64(1 + n%2), 1, n, fmt.Sprintf("degraded: web %d/2 (exit 3, %d restarts in 10 min) · %d of 3 services run", 1+n%2, n, 2+n%2)})
	}
	see(t, 10*time.Second, looks)
	see(t, 5*time.Minute, []look{
		{2, 1, 3, "degraded: web 2/2 (exit 3, 3 restarts in 10 min) · 3 of 3 services run"},
		{2, 1, 3, "degraded: web 2/2 (exit 3, 3 restarts in 10 min) · 3 of 3 services run"},
		{2, 1, 3, "degraded: web 2/2 (exit 3, 3 restarts in 10 min) · 3 of 3 services run"},
		{2, 1, 3, "degraded: web 2/2 · 3 of 3 services run"},
		{2, 1, 3, well},
	})
}

// A crash from before the rollout is not one of this state, and the time of the state is
// that of its beginning.
func TestSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		old := began.Add(-time.Minute)
		watch := &health.Watch{Tasks: ended{"s_web": {{ID: "1", At: old}, {ID: "2", At: old}, {ID: "3", At: old}}}}
		watch.Deployed(began)
		services := []deploy.ServiceStatus{{Name: "s_web", Running: 0, Desired: 1}}
		for i, want := range []health.State{health.Healthy, health.Unhealthy, health.Unhealthy, health.Unhealthy} {
			verdict, err := watch.Look(t.Context(), "s", services)
			if err != nil || verdict.State != want {
				t.Errorf("look %d: %s, %v, want %s", i, verdict.State, err, want)
			}
			if i == 3 && !verdict.Since.Equal(began.Add(time.Minute)) {
				t.Errorf("since %s", verdict.Since)
			}
			time.Sleep(time.Minute)
		}
	})
}

// An engine that restarts ends a task of each replica: that is not a crash loop.
func TestEngineRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		watch := &health.Watch{Tasks: ended{"s_web": {{ID: "1", Replica: "1", At: began}, {ID: "2", Replica: "2", At: began}, {ID: "3", Replica: "3", At: began}}}}
		watch.Died()
		for range 3 {
			verdict, err := watch.Look(t.Context(), "s", []deploy.ServiceStatus{{Name: "s_web", Running: 3, Desired: 3}})
			if err != nil || verdict.State != health.Healthy {
				t.Errorf("%+v, %v", verdict, err)
			}
		}
	})
}

// A healthy service whose task was replaced is listed with that, until the window is over.
func TestRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		watch := &health.Watch{Tasks: ended{"s_web": {{ID: "1", Replica: "1", At: began.Add(-time.Second)}, {ID: "2", Replica: "2", At: began}}}}
		watch.Died()
		services := []deploy.ServiceStatus{{Name: "s_web", Running: 2, Desired: 2}, {Name: "s_db", Running: 1, Desired: 1}}
		want := []health.Service{{Name: "s_web", Short: "web", State: health.Healthy, Running: 2, Desired: 2, Restarts: 2, Since: began}}
		for _, want := range [][]health.Service{want, want, nil} {
			verdict, err := watch.Look(t.Context(), "s", services)
			if diff := cmp.Diff(want, verdict.Restored); diff != "" || err != nil || verdict.State != health.Healthy {
				t.Errorf("%s, %v: %s", verdict.State, err, diff)
			}
			time.Sleep(6 * time.Minute)
		}
	})
}

// counted counts the reads of ended tasks.
type counted struct{ reads int }

func (c *counted) Ended(context.Context, string, []deploy.ServiceStatus) (map[string][]deploy.EndedTask, error) {
	c.reads++
	return nil, nil
}

// The ended tasks are read at the first look, and later only where there is a reason: a look at a
// healthy stack stays one read.
func TestReads(t *testing.T) {
	swarm := &counted{}
	watch := &health.Watch{Tasks: swarm}
	whole, lacking := []deploy.ServiceStatus{{Name: "s_web", Running: 1, Desired: 1}}, []deploy.ServiceStatus{{Name: "s_web", Desired: 1}}
	for i, one := range []struct {
		services []deploy.ServiceStatus
		died     bool
		reads    int
	}{{whole, false, 1}, {whole, false, 1}, {whole, true, 2}, {whole, false, 2}, {lacking, false, 3}, {lacking, false, 4}, {whole, false, 5}, {whole, false, 6}, {whole, false, 6}} {
		if one.died && (!watch.Died() || watch.Died() || !watch.Pending()) {
			t.Error("a death is not noted once")
		}
		if _, err := watch.Look(t.Context(), "s", one.services); err != nil || swarm.reads != one.reads {
			t.Errorf("look %d: %d reads, %v", i, swarm.reads, err)
		}
	}
}

// A clock that is wrong neither hides crashes nor keeps them: what ends between two reads counts from
// then on. What ended long before the first read does not count, however often it is read.
func TestWrongClocks(t *testing.T) {
	for name, off := range map[string]time.Duration{"right": 0, "behind": -11 * time.Minute, "ahead": 2 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				long := time.Now().Add(-time.Hour)
				swarm := ended{"s_web": {{ID: "old1", At: long}, {ID: "old2", At: long}, {ID: "old3", At: long}}}
				watch := &health.Watch{Tasks: swarm}
				watch.Deployed(time.Now().Add(-2 * time.Hour)) // the agent was off since
				look := func(want health.State) {
					t.Helper()
					watch.Died()
					verdict, err := watch.Look(t.Context(), "s", []deploy.ServiceStatus{{Name: "s_web", Running: 1, Desired: 1}})
					if err != nil || verdict.State != want {
						t.Errorf("%s (%s), %v, want %s", verdict.State, verdict.Text(), err, want)
					}
				}
				for i, want := range []health.State{health.Healthy, health.Healthy, health.Degraded} {
					look(health.Healthy)
					time.Sleep(30 * time.Second)
					swarm["s_web"] = append(swarm["s_web"], deploy.EndedTask{ID: fmt.Sprint(i), Replica: "1", At: time.Now().Add(off)})
					look(want)
				}
				time.Sleep(health.Window - 10*time.Second)
				look(health.Degraded) // two are left, and one look changes nothing
				time.Sleep(time.Minute)
				look(health.Healthy)
				time.Sleep(time.Hour)
				look(health.Healthy)
			})
		})
	}
}

// Crashes from while the agent was off count by the managers' clock.
func TestCrashesWhileOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recent := time.Now().Add(-5 * time.Minute)
		watch := &health.Watch{Tasks: ended{"s_web": {{ID: "1", At: recent}, {ID: "2", At: recent}, {ID: "3", At: recent}}}}
		watch.Deployed(time.Now().Add(-time.Hour))
		watch.Died()
		verdict, err := watch.Look(t.Context(), "s", []deploy.ServiceStatus{{Name: "s_web", Running: 1, Desired: 1}})
		if err != nil || verdict.State != health.Degraded {
			t.Errorf("%s, %v", verdict.State, err)
		}
	})
}
