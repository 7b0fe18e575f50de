package agent_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/agent/settings"
)

// observes restarts the agent, which then observes, or changes the engine again.
func (w *world) observes(mode string) {
	w.t.Helper()
	if w.stop != nil {
		w.halt()
	}
	w.change = func(parts *agent.Parts) { parts.Settings.Mode = mode }
	w.start()
}

// wantUntouched compares the engine with what it was.
func (w *world) wantUntouched(before map[string]swarm.ServiceSpec, applied int) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	same := func(a, b swarm.ServiceSpec) bool {
		return a.TaskTemplate.ContainerSpec.Image == b.TaskTemplate.ContainerSpec.Image
	}
	if w.applied != applied || !maps.EqualFunc(w.live, before, same) {
		w.t.Errorf("the engine was changed: %d plans applied, %d services", w.applied, len(w.live))
	}
}

// An agent that observes makes the plan of each commit, says everywhere what it would change,
// and changes nothing, also for a user. Without the setting, the next start applies the plan.
func TestObserve(t *testing.T) {
	inWorld(t, func(w *world) {
		w.observes(settings.ModeObserve)
		first := w.last().Commit
		commit := w.commit("2", nodeDir+"node.env", "TAG=2\n")
		w.poll()
		w.told(commit, gitlab.Skipped)
		const text = "observe: would change 1 service, 1 network to create"
		if w.description != text {
			w.t.Errorf("described as %q", w.description)
		}
		w.told(first, gitlab.Skipped) // also after the next one took its place
		if sync, err := w.desk.Sync(w.t.Context(), person, func(string) {}); err != nil || sync.State != record.Waiting || sync.Waiting != text {
			w.t.Errorf("asked for: %s, %q, %v", sync.State, sync.Waiting, err)
		}
		if status := w.desk.Status(); status.Mode != settings.ModeObserve || status.InSync || !strings.Contains(status.Next, "`mode: observe`") {
			w.t.Errorf("status says mode %q, next %q", status.Mode, status.Next)
		}
		w.wantMetrics(`coin_agent_observing{environment="sandbox",node="node3"} 1`, `coin_agent_waiting{environment="sandbox",gate="observe",node="node3"} 1`)
		w.deployedTo()
		w.wantUntouched(nil, 0)
		id := w.last().ID
		w.observes(settings.ModeSync)
		if done := w.wantLast(commit, record.Succeeded); done.ID != id || w.plans() != 1 {
			w.t.Errorf("#%d instead of #%d, %d plans", done.ID, id, w.plans())
		}
		w.told(commit, gitlab.Skipped, gitlab.Pending, gitlab.Running, gitlab.Success)
		w.wantMetrics(`coin_agent_observing{environment="sandbox",node="node3"} 0`)
	})
}

// An agent that observes corrects no drift, rolls nothing back, not for a user either, and does
// not carry on with a rollout that was interrupted.
func TestObserveWritesNothingBack(t *testing.T) {
	inWorld(t, func(w *world) {
		w.commit("2", configFile, string(w.files[configFile].Data)+"drift: correct\n")
		w.start()
		w.commit("3", nodeDir+"node.env", "TAG=3\n")
		w.poll()
		w.set(func() { w.onApply = func(context.Context) { w.lost = true } })
		commit := w.commit("4", nodeDir+"node.env", "TAG=4\n")
		w.poll()
		w.wantLast(commit, record.Running)
		w.set(func() { w.onApply, w.lost = nil, false; clear(w.live) })
		applied := w.plans()
		w.observes(settings.ModeObserve)
		w.pass(time.Hour)
		w.wantLast(commit, record.Running)
		_, err := w.goBack(request.Rollback{Reason: "x"})
		refuses(t, err, "the agent only observes")
		if next := w.desk.Status().Next; !strings.Contains(next, "was interrupted") {
			t.Errorf("next: %s", next)
		}
		w.wantUntouched(nil, applied)
		w.observes(settings.ModeSync)
		w.poll()
		w.wantLast(commit, record.Succeeded)
	})
}

// An agent that observes posts one status for a plan, whatever it hears of GitLab at each look: each
// other text would be another entry of the commit.
func TestObserveWithoutGitLab(t *testing.T) {
	inWorld(t, func(w *world) {
		w.merges = &merges{}
		commit := w.commit("2", configFile, string(w.files[configFile].Data)+"approval: {required: true}\n")
		w.observes(settings.ModeObserve)
		for port := range 20 {
			w.merges.mu.Lock()
			w.merges.err = fmt.Errorf("read tcp 10.0.0.2:%d->10.0.0.1:443: connection reset by peer", 40000+port)
			w.merges.mu.Unlock()
			w.poll()
		}
		if waiting := w.wantLast(commit, record.Waiting).Waiting; !strings.Contains(waiting, "40019") {
			t.Errorf("waits: %s", waiting)
		}
		w.told(commit, gitlab.Skipped)
		if w.description != "observe: would change 1 service, 1 network to create; would then wait for approval" {
			t.Errorf("described as %q", w.description)
		}
	})
}
