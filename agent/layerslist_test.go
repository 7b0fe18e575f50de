package agent_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/deploy"
)

// A tag that a user asks for one of several stacks does not change the list: the other stacks are
// kept in sync, and the agent looks no more often than it should.
func TestListOfAChosenTag(t *testing.T) {
	following(t, func(r *releases) {
		one, db := r.edit("platform", "db", "db:0")
		first := r.commit("1", configFile, layers("{name: platform}")+"approval: {required: true}\n", one, db)
		r.tag("2026-01-01-a", first)
		two, web := r.edit("business", "web", "app:1")
		_, newer := r.edit("platform", "db", "db:1")
		second := r.commit("2", configFile, layers("{name: platform}", "{name: business, waits_for: []}")+"approval: {required: true}\n", two, web, one, newer)
		r.tag("2026-01-02-a", second)
		r.start()
		for _, key := range []record.StackKey{"platform", "business"} {
			if _, err := r.of(key).Approve(person, request.Approve{Commit: second, Reason: "checked"}); err != nil {
				r.t.Fatal(err)
			}
			r.pass(time.Second)
			r.lastOf(key, second, record.Succeeded)
		}
		granted, err := r.of("platform").GrantSync(person, request.Sync{To: "2026-01-01-a"})
		if _, err := run(r.t.Context(), func(string) {}, granted, err); err != nil {
			r.t.Fatal(err)
		}
		r.pass(time.Second)
		r.lastOf("platform", first, record.Waiting)
		looks := r.listings()
		r.poll()
		if keys := r.agent.Stacks(); len(keys) != 2 || r.listings() > looks+2 {
			r.t.Errorf("stacks %v after %d looks", keys, r.listings()-looks)
		}
	})
}

// Two stacks that claim one port, or one object, are refused with both places before anything of
// them is written.
func TestDisputedStacks(t *testing.T) {
	inWorld(t, func(w *world) {
		threeStacks(w)
		bad := w.commit("disputed",
			platformDir+"docker-compose.yml", "services: {db: {image: \"db:2\", ports: [\"80:80\"]}}\n",
			businessDir+"docker-compose.yml", "services: {web: {image: \"app:2\", ports: [\"80:8080\"]}}\n")
		w.poll()
		for _, key := range []record.StackKey{"platform", "business"} {
			last := w.lastOf(key, bad, record.Failed)
			if last.Stage != record.StageRender || !strings.Contains(last.Error, "port 80/tcp is claimed by") || !strings.Contains(last.Error, "platform/docker-compose.yml") {
				w.t.Errorf("%s failed at %s: %s", key, last.Stage, last.Error)
			}
		}
		if w.image("platform_db") != "db:1" || w.image("business_web") != "app:1" {
			w.t.Errorf("platform runs %s, business %s", w.image("platform_db"), w.image("business_web"))
		}
		web := "services: {web: {image: \"app:2\", ports: [\"80:8080\"]}}\n"
		good := w.commit("settled", platformDir+"docker-compose.yml", "services: {db: {image: \"db:2\", ports: [\"81:80\"]}}\n", businessDir+"docker-compose.yml", web)
		w.poll()
		w.lastOf("business", good, record.Succeeded)
		// What the others claim is not rendered anew.
		bad = w.commit("disputed by one", platformDir+"docker-compose.yml", "services: {db: {image: \"db:3\", ports: [\"80:80\"]}}\n")
		w.poll()
		if last := w.lastOf("platform", bad, record.Failed); !strings.Contains(last.Error, "port 80/tcp is claimed by") {
			w.t.Errorf("platform failed: %s", last.Error)
		}
		good = w.commit("the other gives way", businessDir+"docker-compose.yml", strings.Replace(web, "80:8080", "82:8080", 1))
		w.poll()
		w.lastOf("platform", good, record.Succeeded)
		w.lastOf("business", good, record.Succeeded)
	})
}

// A stack that is listed again in the middle of its removal is rolled out anew.
func TestListedAgainWhileRemoved(t *testing.T) {
	inWorld(t, func(w *world) {
		threeStacks(w)
		list := layers("{name: system}", "{name: platform}", "{name: business, prune: true}")
		w.commit("prune", configFile, list)
		w.poll()
		off := w.commit("off", configFile, layers("{name: system}", "{name: platform}"))
		w.poll()
		w.set(func() { w.busy = []string{"network business_default, which is still in use"} })
		if _, err := w.of("business").Approve(person, request.Approve{Commit: off, Reason: "it moved"}); err != nil {
			w.t.Fatal(err)
		}
		w.pass(time.Second)
		if w.image("business_web") != "" {
			w.t.Fatal("nothing was removed")
		}
		again := w.commit("again", configFile, list)
		w.poll()
		w.lastOf("business", again, record.Succeeded)
		if w.image("business_web") != "app:1" {
			w.t.Error("the commit succeeded, and nothing runs")
		}
	})
}

// A removed stack that is listed again begins anew: a release that fails is not rolled back to what ran
// before the removal, however old that is.
func TestListedAgainAfterItsRemoval(t *testing.T) {
	inWorld(t, func(w *world) {
		threeStacks(w)
		rolls := "deployment: {rollback: {automatic: true}}\n"
		list := layers("{name: system}", "{name: platform}", "{name: business, prune: true}") + rolls
		w.commit("prune", configFile, list)
		w.poll()
		off := w.commit("off", configFile, layers("{name: system}", "{name: platform}")+rolls)
		w.poll()
		w.approveOf("business", off)
		w.failsWith("business_web", "app:9")
		path, content := w.edit("business", "web", "app:9")
		again := w.commit("again", configFile, list, path, content)
		w.poll()
		taken := w.lastOf("business", again, record.Failed).Rollback
		if taken == nil || !strings.Contains(taken.Refused, "no good state is recorded yet") || w.image("business_web") != "app:9" {
			t.Errorf("rolled back: %+v; business runs %s", taken, w.image("business_web"))
		}
		if run, err := w.of("business").GrantRollback(person, request.Rollback{}); err == nil {
			if _, err = run(w.t.Context(), func(string) {}); err == nil || w.image("business_web") != "app:9" {
				t.Errorf("a user rolled it back: %v, business runs %s", err, w.image("business_web"))
			}
		}
	})
}

// A stack that was taken off the list is not removed while another one has its name in Swarm.
func TestRemovalOfANameInUse(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start() // the only stack, s
		path, content := w.edit("platform", "db", "db:1")
		w.commit("list", configFile, layers("{name: platform, prune: true}"), path, content)
		w.poll()
		off := w.commit("only", configFile, "environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c, stack: platform}]\n",
			nodeDir+"docker-compose.yml", "services: {web: {image: \"app:1\"}}\n")
		w.poll()
		w.lastOf(record.OnlyStack, off, record.Waiting) // for its adoption
		if _, err := w.of("platform").Approve(person, request.Approve{Commit: off, Reason: "it is the node's own now"}); err != nil {
			w.t.Fatal(err)
		}
		w.pass(time.Second)
		w.poll()
		if w.image("platform_db") != "db:1" {
			w.t.Errorf("the stack that the node lists was removed: runs %v", w.live)
		}
	})
}

// The cron services that a cut off sync of a stack left scaled down are restored after the stack left the
// list, also if the engine does not answer then, or the agent is stopped.
func TestCronOfALeftStack(t *testing.T) {
	for name, cut := range map[string]func(w *world){
		"the engine is away": func(w *world) {
			w.poll()
			w.set(func() { w.engineErr = nil })
		},
		"the agent is stopped": func(w *world) {
			w.poll()
			w.halt()
			w.set(func() { w.engineErr = nil })
			w.start()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				cron := func(tag string) string {
					return "services: {db: {image: \"db:" + tag + "\"}, cronjobs: {image: \"db:1\"}}\n"
				}
				w.commit("1", configFile, layers("{name: system}", "{name: platform}"), nodeDir+"node.env", "TAG=1\n",
					systemDir+"docker-compose.yml", "services: {proxy: {image: \"proxy:1\"}}\n", platformDir+"docker-compose.yml", cron("1"))
				w.start()
				w.set(func() { w.onApply = func(ctx context.Context) { <-ctx.Done() } })
				w.commit("2", platformDir+"docker-compose.yml", cron("2"))
				w.poll()
				w.halt() // in the middle of the rollout, with the cron service at 0
				w.set(func() {
					w.onApply, w.engineErr = nil, deploy.ErrUnavailable
					w.live["platform_cronjobs"] = withReplicas(w.live["platform_cronjobs"], 0)
				})
				w.commit("off", configFile, layers("{name: system}"))
				w.start()
				cut(w)
				w.pass(20 * time.Minute)
				down, err := w.store.Stack("platform").ScaledDown()
				if replicas := *w.live["platform_cronjobs"].Mode.Replicated.Replicas; replicas != 1 || len(down.Services) > 0 || len(w.agent.Stacks()) != 1 {
					t.Errorf("%d replicas, on record %v, %v; stacks %v", replicas, down, err, w.agent.Stacks())
				}
			})
		})
	}
}

// A stack that left the list while it rolled back is rolled out once it is listed again.
func TestRollbackOfALeftStack(t *testing.T) {
	inWorld(t, func(w *world) {
		automatic := "deployment: {rollback: {automatic: true}}\n"
		both := layers("{name: system}", "{name: platform}") + automatic
		path, content := w.edit("platform", "db", "db:1")
		w.commit("1", configFile, both, nodeDir+"node.env", "TAG=1\n", systemDir+"docker-compose.yml", "services: {proxy: {image: \"proxy:1\"}}\n", path, content)
		w.start()
		w.failsWith("platform_db", "db:2")
		path, content = w.edit("platform", "db", "db:2")
		bad := w.commit("2", path, content)
		w.set(func() {
			w.onApply = func(ctx context.Context) {
				if w.image("platform_db") == "db:2" { // the rollback
					<-ctx.Done()
				}
			}
		})
		w.poll()
		w.halt()
		w.set(func() { w.onApply, w.onVerify, w.result = nil, nil, deploy.Result{} })
		w.commit("off", configFile, layers("{name: system}")+automatic)
		w.start()
		w.poll()
		w.lastOf("platform", bad, record.Superseded)
		if told := strings.Join(w.statusesOf(bad), ", "); !strings.HasSuffix(told, "node3/platform canceled, node3 canceled") {
			t.Errorf("told %s", told)
		}
		path, content = w.edit("platform", "db", "db:3")
		again := w.commit("again", configFile, both, path, content)
		w.poll()
		w.poll()
		w.lastOf("platform", again, record.Succeeded)
		if w.image("platform_db") != "db:3" {
			t.Errorf("platform runs %s", w.image("platform_db"))
		}
	})
}
