package agent_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
)

const (
	composeFile = nodeDir + "docker-compose.yml"
	// wavesFile has a migration, a service and a cron service.
	wavesFile = `services:
  web: {image: "app:$TAG"}
  migrate: {image: "app:$TAG", command: migrate, deploy: {restart_policy: {condition: none}}}
  cron_service: {image: "app:$TAG"}
`
)

// rolledOut is a world with the waves' services, and the first release running.
func (w *world) rolledOut() {
	w.t.Helper()
	first := w.commit("1", composeFile, wavesFile)
	w.start()
	w.wantLast(first, record.Succeeded)
	w.wantCron("1", 1)
}

// wantCron checks what the engine has of the cron service.
func (w *world) wantCron(tag string, replicas uint64) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	spec := w.live["s_cron_service"]
	count := uint64(1)
	if own := spec.Mode.Replicated.Replicas; own != nil {
		count = *own
	}
	if image := spec.TaskTemplate.ContainerSpec.Image; count != replicas || image != "app:"+tag {
		w.t.Errorf("cron_service runs %s with %d replicas, want %s with %d", image, count, tag, replicas)
	}
}

// broken is what the engine says of a migration that failed.
func broken() deploy.Result {
	return deploy.Result{Services: []deploy.ServiceResult{{
		Name: "s_migrate", State: deploy.Failed, Want: 1, Message: "its task failed and is not restarted",
		Error: "task: non-zero exit (1)", ExitCode: 1, Logs: []string{"no such table"},
	}}}
}

// scaledUp lists the audit log's entries of cron services that came back.
func (w *world) scaledUp() (entries []audit.Entry) {
	w.t.Helper()
	err := w.audit.Read(func(entry audit.Entry) {
		if entry.Action == audit.ScaleUp {
			entries = append(entries, entry)
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return entries
}

// wantAllAwake checks that nothing is left to be brought back.
func (w *world) wantAllAwake() {
	w.t.Helper()
	if asleep, err := w.records.ScaledDown(); err != nil || len(asleep.Services) > 0 {
		w.t.Errorf("still to be brought back: %+v, %v", asleep, err)
	}
}

func TestAFailedWaveStopsTheRollout(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rolledOut()
		w.set(func() { w.result = broken() })
		second := w.commit("2", nodeDir+"node.env", "TAG=2\n")
		w.poll()
		sync := w.wantLast(second, record.Failed)
		if sync.Stage != "apply" || !strings.Contains(sync.Error, "s_migrate: task: non-zero exit (1)") ||
			!strings.Contains(sync.Hint, "wave 2 did not start, 1 service not changed") {
			t.Errorf("failed in %s: %s (%s)", sync.Stage, sync.Error, sync.Hint)
		}
		if image := w.live["s_web"].TaskTemplate.ContainerSpec.Image; image != "app:1" {
			t.Errorf("web runs %s", image)
		}
		w.wantCron("1", 1)
		w.wantAllAwake()
		entries := w.scaledUp()
		if len(entries) != 1 || entries[0].Name != "s_cron_service" || entries[0].Sync != sync.ID || entries[0].Outcome != audit.Succeeded {
			t.Errorf("audit: %+v", entries)
		}
		if states := w.states(second); states[len(states)-1] != gitlab.Failed || !strings.HasPrefix(w.description, "apply: service s_migrate: ") {
			t.Errorf("told %v: %s", states, w.description)
		}
		plans := w.plans()
		w.poll()
		if w.plans() != plans {
			t.Error("the held revision was tried again")
		}
		// A retry runs the failed migration again, and goes on.
		w.set(func() { w.result, w.failedJobs = deploy.Result{}, map[string]bool{"s_migrate": true} })
		if _, err := w.desk.Sync(w.t.Context(), person, func(string) {}); err != nil {
			t.Fatal(err)
		}
		w.wantLast(second, record.Succeeded)
		if counter := w.live["s_migrate"].TaskTemplate.ForceUpdate; counter != 1 {
			t.Errorf("the migration's restart counter is %d", counter)
		}
		w.wantCron("2", 1)
	})
}

// killedAsleep begins a rollout and stops the agent while it waits for the first
// wave, with the cron service scaled down.
func (w *world) killedAsleep() {
	w.t.Helper()
	w.set(func() { w.verify = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() } })
	w.commit("2", nodeDir+"node.env", "TAG=2\n")
	w.poll()
	w.wantCron("1", 0)
	w.halt()
	w.set(func() { w.verify = nil })
	w.wantCron("1", 0)
}

func TestCronComesBackWhateverFollowsAKill(t *testing.T) {
	const gated = "environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c, stack: s}]\ndeployment: {auto_deploy: false}\n"
	for name, test := range map[string]struct {
		changes []string // of a new commit; none for the same one
		want    record.State
		tag     string
		setup   func(*world)
	}{
		"it is carried on":               {want: record.Succeeded, tag: "2"},
		"it is carried on and fails":     {want: record.Failed, tag: "1", setup: func(w *world) { w.result = broken() }},
		"a commit takes everything back": {changes: []string{nodeDir + "node.env", "TAG=1\n"}, want: record.Succeeded, tag: "1"},
		"a commit is broken":             {changes: []string{nodeDir + "node.env", "TAG=$(ls)\n"}, want: record.Failed, tag: "1"},
		"a commit waits for a person":    {changes: []string{configFile, gated, nodeDir + "node.env", "TAG=3\n"}, want: record.Waiting, tag: "1"},
		"the remote is away":             {want: record.Running, tag: "1", setup: func(w *world) { w.selectErr = context.DeadlineExceeded }},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.rolledOut()
				w.killedAsleep()
				if test.changes != nil {
					w.commit("3", test.changes...)
				}
				w.set(func() {
					if test.setup != nil {
						test.setup(w)
					}
				})
				w.start()
				w.pass(time.Second)
				if sync := w.last(); sync.State != test.want {
					t.Errorf("%s is %s: %s", sync.Commit, sync.State, sync.Error)
				}
				w.wantCron(test.tag, 1)
				w.wantAllAwake()
			})
		})
	}
}

// TestWhatWasWrittenBeforeAKillCounts carries on after the last write: what has
// happened to those services since is no history.
func TestWhatWasWrittenBeforeAKillCounts(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rolledOut()
		w.set(func() { w.lost = true })
		second := w.commit("2", nodeDir+"node.env", "TAG=2\n")
		w.poll()
		w.halt()
		w.set(func() { w.lost = false })
		w.start()
		w.wantLast(second, record.Succeeded)
		if diff := cmp.Diff([]string{"s_cron_service", "s_migrate", "s_web"}, w.written); diff != "" {
			t.Error(diff)
		}
	})
}

// TestCronComesBackWhenTheEngineDoes fails with an engine that is gone.
func TestCronComesBackWhenTheEngineDoes(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rolledOut()
		w.set(func() { w.onVerify = func() { w.engineErr = deploy.ErrUnavailable } })
		w.commit("2", nodeDir+"node.env", "TAG=2\n")
		w.poll()
		w.wantCron("1", 0)
		w.commit("3", nodeDir+"node.env", "TAG=$(ls)\n")
		w.set(func() { w.onVerify = nil })
		w.poll()
		w.set(func() { w.engineErr = nil })
		w.pass(5 * time.Minute)
		w.wantCron("1", 1)
		w.wantAllAwake()
		if entries := w.scaledUp(); len(entries) != 1 || entries[0].Actor != audit.Agent() {
			t.Errorf("audit: %+v", entries)
		}
	})
}

// TestJobsAreWaitedForWithoutHealthChecks switches the health check off.
func TestJobsAreWaitedForWithoutHealthChecks(t *testing.T) {
	inWorld(t, func(w *world) {
		w.commit("0", configFile, "environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c, stack: s}]\ndeployment: {health_check: {enabled: false}, waves: [[web], [migrate]]}\n")
		w.rolledOut()
		if diff := [][]string{{"s_migrate"}, {"s_migrate"}}; !slices.EqualFunc(w.followed, diff, slices.Equal) {
			t.Errorf("followed %v", w.followed)
		}
		w.set(func() { w.result = broken() })
		second := w.commit("2", nodeDir+"node.env", "TAG=2\n")
		w.poll()
		w.wantLast(second, record.Failed)
		w.wantCron("1", 1)
	})
}

// TestANewCommitLetsAMigrationEnd comes while one is at work: to stop it half way
// would do more harm than to wait.
func TestANewCommitLetsAMigrationEnd(t *testing.T) {
	const takes = 3 * interval
	inWorld(t, func(w *world) {
		until := &time.Time{}
		w.change = func(parts *agent.Parts) { parts.Engine = busyEngine{engine{w}, until} }
		w.rolledOut()
		var third string
		var stopped error
		w.set(func() {
			w.verify = func(ctx context.Context) error {
				w.set(func() { w.verify, *until = nil, time.Now().Add(takes) })
				third = w.commit("3", nodeDir+"node.env", "TAG=3\n")
				select {
				case <-ctx.Done():
					stopped = ctx.Err()
				case <-time.After(takes):
				}
				return stopped
			}
		})
		w.commit("2", nodeDir+"node.env", "TAG=2\n")
		w.pass(2*takes + interval)
		w.wantLast(third, record.Succeeded)
		if stopped != nil {
			t.Errorf("the migration was not waited for: %v", stopped)
		}
	})
}

// TestANewCommitEndsTheWaitForAWave overtakes a service that does not become well.
func TestANewCommitEndsTheWaitForAWave(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rolledOut()
		var third string
		hung := false
		w.set(func() {
			w.verify = func(ctx context.Context) error {
				if hung {
					return nil
				}
				hung = true
				third = w.commit("3", nodeDir+"node.env", "TAG=3\n")
				<-ctx.Done()
				return ctx.Err()
			}
		})
		second := w.commit("2", nodeDir+"node.env", "TAG=2\n")
		w.pass(3 * interval)
		w.wantLast(third, record.Succeeded)
		w.wantCron("3", 1)
		if states := w.states(second); states[len(states)-1] != gitlab.Canceled {
			t.Errorf("told %v", states)
		}
	})
}
