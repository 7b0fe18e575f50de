package agent_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/gitlab"
	servicehealth "coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
)

// crashing is a stack whose service crashes when it is told to.
type crashing struct {
	w       *world
	service string // s_web

	mu    sync.Mutex
	ended []deploy.EndedTask
	died  func(stack string)
}

func (c *crashing) Ended(context.Context, string, []deploy.ServiceStatus) (map[string][]deploy.EndedTask, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return map[string][]deploy.EndedTask{c.service: slices.Clone(c.ended[max(0, len(c.ended)-5):])}, nil
}

func (c *crashing) FollowDeaths(ctx context.Context, died func(string)) {
	c.mu.Lock()
	c.died = died
	c.mu.Unlock()
	<-ctx.Done()
}

// crash has the task of the service end, and start again five seconds later.
func (c *crashing) crash() {
	c.runs(0)
	c.mu.Lock()
	c.ended = append(c.ended, deploy.EndedTask{ID: fmt.Sprint(len(c.ended)), At: time.Now(), ExitCode: 3, Error: "task: non-zero exit (3)"})
	died := c.died
	c.mu.Unlock()
	died("s")
	c.w.pass(5 * time.Second)
	c.runs(1)
}

// runs sets how many tasks of the service run.
func (c *crashing) runs(running uint64) {
	c.w.set(func() {
		c.w.counts = map[string]*swarm.ServiceStatus{c.service: {RunningTasks: running, DesiredTasks: 1}}
	})
}

// inCrashingWorld has a good rollout, and an address for notices.
func inCrashingWorld(t *testing.T, test func(w *world, c *crashing, box *mailbox, commit string)) {
	t.Helper()
	inCrashingWorldWith(t, "", test)
}

// inCrashingWorldWith adds lines to config.yml.
func inCrashingWorldWith(t *testing.T, config string, test func(w *world, c *crashing, box *mailbox, commit string)) {
	t.Helper()
	inMailWorld(t, toOps+config, func(w *world, box *mailbox) {
		c := &crashing{w: w, service: "s_web"}
		w.change = func(parts *agent.Parts) { parts.Tasks = c }
		c.runs(1)
		commit := w.release("1")
		w.start()
		w.wantLast(commit, record.Succeeded)
		test(w, c, box, commit)
	})
}

// A crash loop after a good rollout shows within 30 seconds in status, metric, notice and
// GitLab, once, and until it is over.
func TestCrashLoopAfterRollout(t *testing.T) {
	inCrashingWorld(t, func(w *world, c *crashing, box *mailbox, commit string) {
		began := time.Now()
		for range 3 {
			c.crash()
			w.pass(3 * time.Second)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Fatalf("three crashes took %s", took)
		}
		status := w.desk.Status()
		if status.Health.State != servicehealth.Degraded || !status.InSync || !strings.Contains(status.Health.Text(), "web 0/1 (exit 3, 3 restarts in 10 min)") {
			t.Errorf("health is %+v", status.Health)
		}
		w.wantMetrics(`coin_agent_healthy{environment="sandbox",node="node3"} 0`,
			`coin_agent_service_restarts{environment="sandbox",node="node3",service="s_web"} 3`,
			`coin_agent_service_tasks_desired{environment="sandbox",node="node3",service="s_web"} 1`)
		box.wants(t, "services are degraded after the rollout, release 1")
		w.told(commit, gitlab.Pending, gitlab.Running, gitlab.Success, gitlab.Failed)
		for range 60 { // ten minutes
			c.crash()
			w.pass(5 * time.Second)
			if state := w.desk.Status().Health.State; state != servicehealth.Degraded {
				t.Fatalf("the state flaps: %s", state)
			}
		}
		box.wants(t)
		w.halt()
		w.start() // an agent that starts again knows what was published
		w.pass(15 * time.Minute)
		if state := w.desk.Status().Health.State; state != servicehealth.Healthy {
			t.Errorf("it stays %s", state)
		}
		box.wants(t, "recovered: all services are healthy again, release 1")
		w.told(commit, gitlab.Pending, gitlab.Running, gitlab.Success, gitlab.Failed, gitlab.Success)
		w.wantMetrics(`coin_agent_healthy{environment="sandbox",node="node3"} 1`)
	})
}

// A crash loop, whose deaths the agent looks at, does not put off the look at the remote.
func TestCrashLoopDelaysNoCommit(t *testing.T) {
	inCrashingWorld(t, func(w *world, c *crashing, _ *mailbox, _ string) {
		next := w.release("2")
		for range 5 {
			c.crash()
			w.pass(5 * time.Second)
		}
		w.wantLast(next, record.Succeeded)
	})
}

// One missing task at one look is not a verdict, and a rollout that follows has a verdict
// of its own.
func TestTasksAreMissing(t *testing.T) {
	inCrashingWorld(t, func(w *world, c *crashing, box *mailbox, commit string) {
		c.runs(0)
		w.poll()
		if state := w.desk.Status().Health.State; state != servicehealth.Healthy {
			t.Errorf("after one look: %s", state)
		}
		w.poll()
		if state := w.desk.Status().Health.State; state != servicehealth.Unhealthy {
			t.Errorf("after two looks: %s", state)
		}
		box.wants(t, "services are unhealthy after the rollout, release 1")
		w.told(commit, gitlab.Pending, gitlab.Running, gitlab.Success, gitlab.Failed)
		c.runs(1)
		next := w.release("2")
		w.poll()
		if status := w.desk.Status(); status.Health.State != servicehealth.Healthy || status.Sync.Degraded != "" {
			t.Errorf("after the next rollout: %+v", status.Health)
		}
		w.told(next, gitlab.Pending, gitlab.Running, gitlab.Success)
	})
}

// A service that a user has scaled to 0, or has removed, does not count as running. It is told
// as drift, and the commit's status stays: the release is not to blame, and no rollback follows.
func TestTakenServices(t *testing.T) {
	inCrashingWorldWith(t, "deployment: {rollback: {enabled: true, automatic: true}}\n", func(w *world, _ *crashing, box *mailbox, commit string) {
		spec := w.live["s_web"]
		status := func() string {
			w.pass(2 * time.Minute) // the soak time is not over
			status := w.desk.Status()
			word, rest := report.Headline(&status)
			return word + " " + rest + ": " + report.ServiceLines(&status)[0].Word
		}
		wants := func(what, text string) {
			t.Helper()
			if got, want := status(), "UNHEALTHY web 0/1 ("+what+" in the engine) · 0 of 1 service run · drifted from "+record.Short(commit)+": "+text; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			w.wantMetrics(`coin_agent_healthy{environment="sandbox",node="node3"} 0`,
				`coin_agent_service_tasks_desired{environment="sandbox",node="node3",service="s_web"} 1`,
				`coin_agent_service_tasks_running{environment="sandbox",node="node3",service="s_web"} 0`)
		}
		w.scale("s_web", 0)
		w.set(func() { w.counts = nil })
		wants("scaled to 0", "drifted: scaled to 0")
		box.wants(t, "the live services differ from what was applied, release 1")
		w.set(func() { delete(w.live, "s_web") })
		wants("removed", "drifted: removed")
		box.wants(t, "the live services differ from what was applied, release 1")
		w.told(commit, gitlab.Pending, gitlab.Running, gitlab.Success)
		w.set(func() {
			w.live["s_web"], w.counts = spec, map[string]*swarm.ServiceStatus{"s_web": {RunningTasks: 1, DesiredTasks: 1}}
		})
		if got, want := status(), "HEALTHY 1 of 1 service run · in sync with "+record.Short(commit)+": running"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		box.wants(t)
		w.told(commit, gitlab.Pending, gitlab.Running, gitlab.Success)
		w.wantLast(commit, record.Succeeded)
	})
}

// A service that fails, and that a user then scales to 0, has not recovered.
func TestFailedServiceIsTaken(t *testing.T) {
	inCrashingWorld(t, func(w *world, c *crashing, box *mailbox, commit string) {
		c.runs(0)
		w.pass(2 * time.Minute)
		box.wants(t, "services are unhealthy after the rollout, release 1")
		w.scale("s_web", 0)
		w.set(func() { w.counts = nil })
		w.pass(time.Hour)
		box.wants(t, "the live services differ from what was applied, release 1")
		w.told(commit, gitlab.Pending, gitlab.Running, gitlab.Success, gitlab.Failed)
	})
}
