package health_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/deploy"
)

var began = time.Date(2027, 1, 2, 3, 0, 0, 0, time.UTC)

// look is one look: the running tasks of web and worker, of two and one, and how many tasks
// of web have ended by then.
type look struct {
	web, worker uint64
	ended       int
	want        string
}

// see gives what each look is judged to be, as state and text.
func see(t *testing.T, every time.Duration, looks []look) {
	t.Helper()
	watch := &health.Watch{}
	now := began
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
			tasks["s_web"] = append(tasks["s_web"], deploy.EndedTask{ID: id, At: now, ExitCode: 3, Error: "task: non-zero exit (3)"})
		}
		last := tasks["s_web"][max(0, len(tasks["s_web"])-5):] // Swarm keeps five
		verdict := watch.See(now, began, services, map[string][]deploy.EndedTask{"s_web": last})
		got, want = append(got, string(verdict.State)+": "+verdict.Text()), append(want, one.want)
		now = now.Add(every)
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
		{1, 1, 0, well},
		{2, 1, 0, well},
		{1, 1, 0, well},
		{1, 1, 0, "degraded: s_web 1/2 · 2 of 3 services run"},
		{2, 1, 0, "degraded: s_web 2/2 · 2 of 3 services run"},
		{1, 1, 0, "degraded: s_web 1/2 · 2 of 3 services run"},
		{2, 1, 0, "degraded: s_web 2/2 · 2 of 3 services run"},
		{2, 1, 0, well},
	})
}

// A service without a task, which is not restarted either, makes the stack unhealthy.
func TestNoTask(t *testing.T) {
	see(t, 30*time.Second, []look{
		{2, 0, 0, well},
		{2, 0, 0, "unhealthy: s_worker 0/1 · 2 of 3 services run"},
		{1, 0, 0, "unhealthy: s_worker 0/1 · 2 of 3 services run"},
		{1, 0, 0, "unhealthy: s_worker 0/1 · s_web 1/2 · 1 of 3 services run"},
	})
}

// A crash loop is degraded from the third crash on, also while the task happens to run, and
// until the window is over; more than five crashes are counted.
func TestCrashLoop(t *testing.T) {
	looks := []look{
		{2, 1, 1, well},
		{1, 1, 2, well},
		{2, 1, 3, "degraded: s_web 2/2 (exit 3, 3 restarts in 10 min) · 2 of 3 services run"},
	}
	for n := 4; n <= 20; n++ {
		looks = append(looks, look{uint64(1 + n%2), 1, n, fmt.Sprintf("degraded: s_web %d/2 (exit 3, %d restarts in 10 min) · 2 of 3 services run", 1+n%2, n)})
	}
	see(t, 10*time.Second, looks)
	see(t, 5*time.Minute, []look{
		{2, 1, 3, "degraded: s_web 2/2 (exit 3, 3 restarts in 10 min) · 2 of 3 services run"},
		{2, 1, 3, "degraded: s_web 2/2 (exit 3, 3 restarts in 10 min) · 2 of 3 services run"},
		{2, 1, 3, "degraded: s_web 2/2 (exit 3, 3 restarts in 10 min) · 2 of 3 services run"},
		{2, 1, 3, "degraded: s_web 2/2 · 2 of 3 services run"},
		{2, 1, 3, well},
	})
}

// A crash from before the rollout is not one of this state, and the time of the state is
// that of its beginning.
func TestSince(t *testing.T) {
	watch := &health.Watch{}
	services := []deploy.ServiceStatus{{Name: "s_web", Running: 0, Desired: 1}}
	old := map[string][]deploy.EndedTask{"s_web": {
		{ID: "1", At: began.Add(-time.Minute)}, {ID: "2", At: began.Add(-time.Minute)}, {ID: "3", At: began.Add(-time.Minute)},
	}}
	var last health.Verdict
	for i := range 4 {
		last = watch.See(began.Add(time.Duration(i)*time.Minute), began, services, old)
		if want := map[bool]health.State{false: health.Healthy, true: health.Unhealthy}[i > 0]; last.State != want {
			t.Errorf("look %d: %s, want %s", i, last.State, want)
		}
	}
	if want := began.Add(time.Minute); !last.Since.Equal(want) {
		t.Errorf("since %s, want %s", last.Since, want)
	}
	if !watch.Suspects(services, false) || !watch.Suspects(nil, false) {
		t.Error("the ended tasks of a stack that is not healthy are not read")
	}
	watch.Reset()
	if watch.Suspects(nil, false) || !watch.Suspects(nil, true) {
		t.Error("a task's death is not looked at, or each look reads the ended tasks")
	}
}
