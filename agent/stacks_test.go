package agent_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/deploy"
	gitsync "coin.internal/coin-agent/sync"
)

const (
	platformDir = nodeDir + "platform/"
	businessDir = nodeDir + "business/"
)

// twoStacks starts an agent that keeps two stacks in sync.
func twoStacks(w *world) {
	w.commit("two", configFile, "environment: {name: sandbox, type: non-production}\n"+
		"nodes: [{name: node3, context: c, stacks: [{name: platform}, {name: business, waits_for: []}]}]\n",
		platformDir+"node.env", "TAG=1\n", platformDir+"docker-compose.yml", "services: {db: {image: \"db:$TAG\"}}\n",
		businessDir+"node.env", "TAG=1\n", businessDir+"docker-compose.yml", "services: {web: {image: \"app:$TAG\"}}\n")
	w.start()
}

// of gives the users' desk of a stack.
func (w *world) of(key record.StackKey) users {
	w.t.Helper()
	desk, err := w.agent.Desk(key)
	if err != nil {
		w.t.Fatal(err)
	}
	return users{desk}
}

// lastOf gives the newest sync of a stack, and checks its outcome.
func (w *world) lastOf(key record.StackKey, commit string, want record.State) *record.Sync {
	w.t.Helper()
	sync, err := w.store.Stack(key).LastSync()
	if err != nil || sync == nil {
		w.t.Fatalf("no sync of %s: %v", key, err)
	}
	if sync.Commit != commit || sync.State != want {
		w.t.Fatalf("%s: %s is %s (%s), want %s of %s", key, sync.Commit, sync.State, sync.Error, want, commit)
	}
	return sync
}

// image gives the image that a service runs.
func (w *world) image(service string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	spec, there := w.live[service]
	if !there {
		return ""
	}
	return spec.TaskTemplate.ContainerSpec.Image
}

// statusesOf lists what GitLab was told of a commit, as name and state.
func (w *world) statusesOf(commit string) (told []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, report := range w.reported {
		if report.Commit == commit {
			told = append(told, strings.TrimPrefix(report.Name, "coin-agent/sandbox/")+" "+string(report.State))
		}
	}
	return told
}

// Each stack has a state machine of its own: its syncs, statuses, good states, metrics and
// audit entries are apart, and they take their turns in order.
func TestTwoStacks(t *testing.T) {
	inWorld(t, func(w *world) {
		twoStacks(w)
		commit := w.revision.Commit
		platform, business := w.lastOf("platform", commit, record.Succeeded), w.lastOf("business", commit, record.Succeeded)
		if platform.Stack != "platform" || business.Stack != "business" || business.ID <= platform.ID || w.image("platform_db") != "db:1" || w.image("business_web") != "app:1" {
			t.Errorf("platform %+v, business %+v", platform, business)
		}
		want := "node3/platform pending, node3/platform running, node3/platform success, " +
			"node3/business pending, node3/business running, node3 running, node3/business success, node3 success"
		if got := strings.Join(w.statusesOf(commit), ", "); got != want {
			t.Errorf("told %s", got)
		}
		if looks := w.listings(); looks != 1 {
			t.Errorf("asked the remote %d times for two stacks", looks)
		}
		applied := w.plans()
		w.poll()
		if w.plans() != applied || w.listings() != 2 {
			t.Errorf("%d plans more, %d looks", w.plans()-applied, w.listings())
		}
		w.wantMetrics(`coin_agent_in_sync{environment="sandbox",node="node3",stack="platform"} 1`,
			`coin_agent_in_sync{environment="sandbox",node="node3",stack="business"} 1`,
			`deployment_version{environment="sandbox",node="node3",release="1",stack="business"} 1`)
		stacks := map[uint64]string{}
		if err := w.audit.Read(func(entry audit.Entry) {
			if entry.Sync != 0 {
				stacks[entry.Sync] = entry.Stack
			}
		}); err != nil || stacks[platform.ID] != "platform" || stacks[business.ID] != "business" {
			t.Errorf("audit entries by sync: %v, %v", stacks, err)
		}
		if _, err := w.agent.Desk("other"); err == nil {
			t.Error("there is a desk for a stack that the agent does not have")
		}
		if _, err := w.agent.Desk(""); err == nil {
			t.Error("a request without a stack is taken for one of two")
		}
	})
}

// A commit concerns the stack whose files it changes, and a failure holds that stack alone.
func TestOneOfTwoStacksFails(t *testing.T) {
	inWorld(t, func(w *world) {
		twoStacks(w)
		w.set(func() {
			w.onVerify = func() {
				w.result = deploy.Result{}
				if web := w.live["business_web"].TaskTemplate.ContainerSpec; web != nil && web.Image == "app:2" {
					w.result = deploy.Result{Services: []deploy.ServiceResult{{Name: "business_web", State: deploy.Failed, Message: "the task failed", Error: "it is broken"}}}
				}
			}
		})
		bad := w.commit("bad", businessDir+"node.env", "TAG=2\n")
		w.poll()
		if sync := w.lastOf("platform", bad, record.Succeeded); sync.Wrote {
			t.Errorf("platform %+v", sync)
		}
		failed := w.lastOf("business", bad, record.Failed)
		good := w.commit("good", platformDir+"node.env", "TAG=2\n")
		w.poll()
		w.lastOf("platform", good, record.Succeeded)
		if w.image("platform_db") != "db:2" {
			t.Errorf("platform_db runs %s", w.image("platform_db"))
		}
		if sync := w.lastOf("business", good, record.Failed); sync.DirtySince != failed.ID {
			t.Errorf("business %+v", sync)
		}
		if !w.of("platform").Status().InSync || w.of("business").Status().InSync {
			t.Error("the stacks' states are mixed up")
		}
		rolled, err := w.of("business").Rollback(w.t.Context(), person, request.Rollback{Reason: "it is broken"}, func(string) {})
		if err != nil || rolled.State != record.RolledBack || w.image("business_web") != "app:1" || w.image("platform_db") != "db:2" {
			t.Errorf("rolled back to %+v, %v: business_web runs %s, platform_db %s", rolled, err, w.image("business_web"), w.image("platform_db"))
		}
	})
}

// A rollout that takes longer than three intervals keeps the agent from the other stack, whose
// state does not count as unknown for that. It looks at that stack at once afterwards.
func TestRolloutOfOtherStack(t *testing.T) {
	for key, other := range map[record.StackKey]record.StackKey{"platform": "business", "business": "platform"} {
		t.Run(string(key), func(t *testing.T) {
			inWorld(t, func(w *world) {
				twoStacks(w)
				done := make(chan struct{})
				w.set(func() {
					w.verify = func(context.Context) error {
						if w.image("platform_db") == "db:2" || w.image("business_web") == "app:2" {
							<-done
						}
						return nil
					}
				})
				w.commit("2", nodeDir+string(key)+"/node.env", "TAG=2\n")
				w.pass(8 * interval)
				own, status, metrics := w.of(key).Status(), w.of(other).Status(), w.scrape()
				if own.Unknown == nil || !own.Unknown.Working || own.Unknown.Other != "" {
					t.Errorf("the stack that is rolled out: %+v", own.Unknown)
				}
				if status.Unknown == nil || !status.Unknown.Working || status.Unknown.Other != string(key) || !strings.HasPrefix(status.Next, "wait: ") {
					t.Errorf("the other stack: %+v, next %s", status.Unknown, status.Next)
				}
				if ready := w.probe("/readyz"); ready != http.StatusOK || strings.Contains(metrics, "coin_agent_services_unknown{") {
					t.Errorf("ready %d, metrics\n%s", ready, metrics)
				}
				close(done)
				w.pass(time.Second)
				if own, status := w.of(key).Status(), w.of(other).Status(); own.Unknown != nil || status.Unknown != nil {
					t.Errorf("afterwards: %+v, %+v", own.Unknown, status.Unknown)
				}
			})
		})
	}
}

// A pause holds one stack, and an agent that is started again carries each stack on.
func TestPauseOfOneStack(t *testing.T) {
	inWorld(t, func(w *world) {
		twoStacks(w)
		if _, err := w.of("platform").Pause(person, request.Pause{Reason: "maintenance"}); err != nil {
			t.Fatal(err)
		}
		next := w.commit("next", platformDir+"node.env", "TAG=2\n", businessDir+"node.env", "TAG=2\n")
		w.poll()
		w.lastOf("platform", next, record.Waiting)
		w.lastOf("business", next, record.Succeeded)
		if w.image("platform_db") != "db:1" || w.image("business_web") != "app:2" {
			t.Errorf("platform_db runs %s, business_web %s", w.image("platform_db"), w.image("business_web"))
		}
		w.halt()
		w.start()
		w.lastOf("platform", next, record.Waiting)
		w.wantMetrics(`coin_agent_paused{environment="sandbox",node="node3",stack="platform"} 1`,
			`coin_agent_paused{environment="sandbox",node="node3",stack="business"} 0`)
		if _, err := w.of("platform").Resume(w.t.Context(), person, request.Resume{}); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Second)
		w.lastOf("platform", next, record.Succeeded)
		if err := w.audit.Read(func(entry audit.Entry) {
			if (entry.Action == audit.Pause || entry.Action == audit.Resume) && entry.Stack != "platform" {
				t.Errorf("the audit log names the stack %q: %+v", entry.Stack, entry)
			}
		}); err != nil {
			t.Error(err)
		}
		if told := w.statusesOf(next); strings.Join(told[len(told)-2:], ", ") != "node3/platform success, node3 success" {
			t.Errorf("told %v", told)
		}
	})
}

// Syncs of one stack that a user asks for, however often, do not keep the agent from the others.
func TestSyncsOfOneStackLeaveTheOthersTheirTurns(t *testing.T) {
	inWorld(t, func(w *world) {
		twoStacks(w)
		next := w.commit("next", businessDir+"node.env", "TAG=2\n")
		for range 4 { // for less than two intervals
			if _, err := w.of("platform").Sync(w.t.Context(), person, func(string) {}); err != nil {
				t.Fatal(err)
			}
			w.pass(interval / 3)
		}
		w.lastOf("business", next, record.Succeeded)
	})
}

// After failed looks the next one is late. A look for a user that succeeds brings it forward.
func TestSyncBringsTheNextLookForward(t *testing.T) {
	inWorld(t, func(w *world) {
		twoStacks(w)
		w.set(func() { w.selectErr = gitsync.ErrUnreachable })
		w.pass(time.Hour)
		for time.Until(w.of("platform").Status().NextPoll) < 5*time.Minute {
			w.pass(time.Minute)
		}
		w.set(func() { w.selectErr = nil })
		for _, stack := range []record.StackKey{"platform", "business"} {
			if _, err := w.of(stack).Sync(w.t.Context(), person, func(string) {}); err != nil {
				t.Fatal(err)
			}
		}
		w.pass(time.Second)
		if soon := time.Until(w.of("platform").Status().NextPoll); soon > interval+interval/10 || soon <= 0 {
			t.Errorf("the next look is %s from now", soon)
		}
	})
}
