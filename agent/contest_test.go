package agent_test

import (
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent/record"
)

// scale has another process set the replicas of a service.
func (w *world) scale(service string, count uint64) {
	w.set(func() {
		spec := w.live[service]
		spec.Mode = swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &count}}
		w.live[service] = spec
	})
}

// scaled gives the replicas of a service.
func (w *world) scaled(service string) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return *w.live[service].Mode.Replicated.Replicas
}

// A contest is told once, however often the agent tries again, over a restart. Once it is over,
// the next drift is new.
func TestContestIsToldOnce(t *testing.T) {
	inMailWorld(t, toOps+"drift: correct\n", func(w *world, box *mailbox) {
		w.commit("1", nodeDir+"docker-compose.yml", "services: {web: {image: \"app:$TAG\", deploy: {replicas: 4}}}\n")
		w.start()
		scale := func(passes time.Duration) {
			w.scale("s_web", 11)
			w.pass(passes)
		}
		const drifts = "the live services differ from what was applied, release 1"
		for range 3 {
			scale(time.Minute)
		}
		scale(time.Minute)
		box.wants(t, drifts, drifts, drifts, "another process changes back what the agent corrects, release 1")
		for n := range 8 {
			for w.scaled("s_web") != 4 {
				w.pass(time.Minute)
			}
			if n == 4 {
				w.halt()
				w.start()
			}
			scale(time.Duration(n) * time.Minute)
		}
		box.wants(t)
		w.pass(5 * time.Hour)
		scale(time.Minute)
		box.wants(t, drifts)
	})
}

// TestContest has another process undo each correction, by a sync of the commit and by the
// return to the deployed state: after three times the agent leaves that service as it is, over
// a restart, and corrects others, until an hour has passed or a user asks.
func TestContest(t *testing.T) {
	const two = "services: {web: {image: \"app:$TAG\", deploy: {replicas: 4}}, app: {image: \"app:$TAG\", deploy: {replicas: 2}}}\n"
	for route, held := range map[string]bool{"by a sync": false, "by the deployed state": true} {
		t.Run(route, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.commit("1", configFile, string(w.files[configFile].Data)+"drift: correct\n", nodeDir+"docker-compose.yml", two)
				w.start()
				if held {
					w.commit("2", nodeDir+"node.env", "")
					w.poll()
				}
				for n := range 3 {
					w.scale("s_web", uint64(10+n))
					w.poll()
					if got := w.scaled("s_web"); got != 4 {
						t.Fatalf("correction %d: %d replicas", n+1, got)
					}
				}
				left := func(when string) {
					t.Helper()
					w.scale("s_web", 11)
					w.scale("s_app", 5)
					w.poll()
					if web, app := w.scaled("s_web"), w.scaled("s_app"); web != 11 || app != 2 {
						t.Fatalf("%s: %d and %d replicas", when, web, app)
					}
					status := w.desk.Status()
					if len(status.Contests) != 1 || status.InSync || len(status.Drift) != 1 || !held && !strings.Contains(status.Next, "drift_ignore") {
						t.Errorf("%s: contested %+v, drift %+v, next %s", when, status.Contests, status.Drift, status.Next)
					}
					if text := w.scrape(); !strings.Contains(text, `coin_agent_contested_services{environment="sandbox",node="node3"} 1`) {
						t.Errorf("%s: metrics:\n%s", when, text)
					}
				}
				left("after three times")
				w.halt()
				w.start()
				left("after a restart")
				w.pass(time.Hour)
				if got := w.scaled("s_web"); got != 4 {
					t.Errorf("after an hour: %d replicas", got)
				}
				left("an hour later")
				if held {
					return
				}
				if _, err := w.desk.Sync(w.t.Context(), person, func(string) {}); err != nil {
					t.Fatal(err)
				}
				if got, status := w.scaled("s_web"), w.desk.Status(); got != 4 || !status.InSync || len(status.Contests) > 0 {
					t.Errorf("after agent sync: %d replicas, %+v", got, status.Contests)
				}
				w.wantLast(w.revision.Commit, record.Succeeded)
			})
		})
	}
}
