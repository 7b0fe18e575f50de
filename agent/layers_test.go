package agent_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/deploy"
)

const systemDir = nodeDir + "system/"

// layers is a config.yml that lists stacks of the node, each as YAML.
func layers(stacks ...string) string {
	return "environment: {name: sandbox, type: non-production}\n" +
		"nodes: [{name: node3, context: c, stacks: [" + strings.Join(stacks, ", ") + "]}]\n"
}

// threeStacks starts an agent whose node has three stacks, each of which waits for the one before.
func threeStacks(w *world) string {
	commit := w.commit("three", configFile, layers("{name: system}", "{name: platform}", "{name: business}"),
		nodeDir+"node.env", "TAG=1\n",
		systemDir+"docker-compose.yml", "services: {proxy: {image: \"proxy:1\"}}\n",
		platformDir+"docker-compose.yml", "services: {db: {image: \"db:1\"}}\n",
		businessDir+"docker-compose.yml", "services: {web: {image: \"app:1\"}}\n")
	w.start()
	return commit
}

// edit changes the image of a stack's service.
func (w *world) edit(stack, service, image string) (path, content string) {
	return nodeDir + stack + "/docker-compose.yml", "services: {" + service + ": {image: \"" + image + "\"}}\n"
}

// failsWith has a service fail as long as it runs an image.
func (w *world) failsWith(service, image string) {
	w.set(func() {
		w.onVerify = func() {
			w.result = deploy.Result{}
			if spec := w.live[service].TaskTemplate.ContainerSpec; spec != nil && spec.Image == image {
				w.result = deploy.Result{Services: []deploy.ServiceResult{{Name: service, State: deploy.Failed, Message: "the task failed", Error: "it is broken"}}}
			}
		}
	})
}

// The stacks are rolled out in their order, by one listing and one fetch of the repository.
func TestLayers(t *testing.T) {
	inWorld(t, func(w *world) {
		commit := threeStacks(w)
		want := "node3/system pending, node3/system running, node3/system success, " +
			"node3/platform pending, node3/platform running, node3/platform success, " +
			"node3/business pending, node3/business running, node3 running, node3/business success, node3 success"
		if got := strings.Join(w.statusesOf(commit), ", "); got != want {
			t.Errorf("told %s", got)
		}
		if w.fetches != 1 || w.listings() != 1 {
			t.Errorf("%d fetches, %d listings", w.fetches, w.listings())
		}
		path, content := w.edit("business", "web", "app:2")
		second := w.commit("second", path, content)
		w.poll()
		if w.fetches != 2 || w.listings() != 2 {
			t.Errorf("after a commit: %d fetches, %d listings", w.fetches, w.listings())
		}
		w.lastOf("business", second, record.Succeeded)
		if w.image("business_web") != "app:2" {
			t.Error("business was not rolled out")
		}
		w.halt()
		w.start() // with the list of the state file
		w.poll()
		if keys := w.agent.Stacks(); len(keys) != 3 || w.fetches != 2 {
			t.Errorf("after a restart: stacks %v, %d fetches", keys, w.fetches)
		}
	})
}

// middleFails starts three stacks, and commits changes of the last two, of which the middle one
// fails.
func middleFails(w *world) (commit string) {
	threeStacks(w)
	w.failsWith("platform_db", "db:2")
	platform, db := w.edit("platform", "db", "db:2")
	business, web := w.edit("business", "web", "app:2")
	commit = w.commit("bad", platform, db, business, web)
	w.poll()
	return commit
}

// A stack that fails holds those that wait for it, which run on, and go on in the same turn
// once it succeeds.
func TestMiddleLayerFails(t *testing.T) {
	inWorld(t, func(w *world) {
		bad := middleFails(w)
		w.lastOf("system", bad, record.Succeeded)
		w.lastOf("platform", bad, record.Failed)
		held := w.lastOf("business", bad, record.Waiting)
		if w.image("business_web") != "app:1" || !strings.Contains(held.Waiting, "waiting for the stack platform, which failed at verify") {
			t.Errorf("business runs %s: %s", w.image("business_web"), held.Waiting)
		}
		if next := w.of("business").Status().Next; !strings.Contains(next, "agent status --stack platform") {
			t.Errorf("next: %s", next)
		}
		if next := w.of("platform").Status().Next; !strings.Contains(next, "`agent retry --stack platform`") {
			t.Errorf("next of the stack that failed: %s", next)
		}
		if told := w.statusesOf(bad); told[len(told)-1] != "node3 failed" && told[len(told)-2] != "node3 failed" {
			t.Errorf("told %v", told)
		}
		platform, db := w.edit("platform", "db", "db:3")
		good := w.commit("good", platform, db)
		looks := w.listings()
		w.poll()
		w.lastOf("business", good, record.Succeeded)
		if w.image("business_web") != "app:2" || w.listings() != looks+1 {
			t.Errorf("business runs %s after %d turns", w.image("business_web"), w.listings()-looks)
		}
		if told := w.statusesOf(good); told[len(told)-1] != "node3 success" {
			t.Errorf("told %v", told)
		}
	})
}

// A user's retry of the stack that failed has the ones that wait for it go on at once.
func TestRetryOfALayer(t *testing.T) {
	inWorld(t, func(w *world) {
		bad := middleFails(w)
		w.lastOf("business", bad, record.Waiting)
		w.set(func() { w.onVerify, w.result = nil, deploy.Result{} })
		if _, err := w.of("platform").Sync(w.t.Context(), person, func(string) {}); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Second)
		w.lastOf("platform", bad, record.Succeeded)
		w.lastOf("business", bad, record.Succeeded)
	})
}

// The list follows config.yml: stacks are added, moved and taken off, and a config.yml that cannot
// be read leaves it.
func TestListOfStacks(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start() // one stack
		w.last()
		all := []string{"{name: platform}", "{name: business}"}
		path, content := w.edit("platform", "db", "db:1")
		business, web := w.edit("business", "web", "app:1")
		w.commit("two", configFile, layers(all...), path, content, business, web)
		w.poll()
		if w.image("platform_db") != "db:1" || w.image("business_web") != "app:1" || w.image("s_web") != "app:1" {
			t.Errorf("runs %v", w.live)
		}
		w.commit("broken", configFile, "environment: [\n")
		w.poll()
		if keys := w.agent.Stacks(); len(keys) != 2 {
			t.Errorf("an unreadable config.yml leaves %v", keys)
		}
		next := w.commit("one", configFile, layers("{name: business, waits_for: []}"))
		w.poll()
		w.lastOf("business", next, record.Succeeded)
		if keys := w.agent.Stacks(); len(keys) != 1 || w.image("platform_db") != "db:1" {
			t.Errorf("stacks %v, platform runs %q", keys, w.image("platform_db"))
		}
		if last, err := w.store.Stack("platform").LastSync(); err != nil || last.Commit == next {
			t.Errorf("the stack that was taken off the list took %+v, %v", last, err)
		}
	})
}

// An agent that is stopped between two stacks carries on with the second one, and tells GitLab
// nothing twice.
func TestStoppedBetweenLayers(t *testing.T) {
	inWorld(t, func(w *world) {
		threeStacks(w)
		system, proxy := w.edit("system", "proxy", "proxy:2")
		business, web := w.edit("business", "web", "app:2")
		w.set(func() { w.lost = true })
		next := w.commit("next", system, proxy, business, web)
		w.poll()
		w.halt()
		w.set(func() { w.lost = false })
		w.start()
		w.poll()
		for _, key := range []record.StackKey{"system", "platform", "business"} {
			w.lastOf(key, next, record.Succeeded)
		}
		seen := map[string]bool{}
		for _, told := range w.statusesOf(next) {
			if seen[told] {
				t.Errorf("told %s twice", told)
			}
			seen[told] = true
		}
	})
}

// A node with one stack that lists it keeps its records, and also on the way back.
func TestMoveToAListAndBack(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		first, applied := w.last(), w.plans()
		w.commit("list", configFile, layers("{name: s, path: .}"))
		w.poll()
		syncs, err := w.store.Stack("s").Syncs(10)
		if err != nil || len(syncs) != 2 || syncs[1].ID != first.ID || w.plans() != applied {
			t.Fatalf("%d syncs, %d plans more, %v", len(syncs), w.plans()-applied, err)
		}
		back := w.commit("back", configFile, "environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c, stack: s}]\n")
		w.poll()
		w.wantLast(back, record.Succeeded)
		if syncs, err = w.records.Syncs(10); err != nil || len(syncs) != 3 || w.plans() != applied {
			t.Errorf("%d syncs, %d plans more, %v", len(syncs), w.plans()-applied, err)
		}
	})
}

// A request that names none of several stacks is refused with their names.
func TestRequestWithoutAStack(t *testing.T) {
	inWorld(t, func(w *world) {
		threeStacks(w)
		_, err := w.agent.Desk("")
		if err == nil || !strings.Contains(err.Error(), "several stacks") {
			t.Errorf("refused with %v", err)
		}
		if _, other := w.agent.Desk("other"); other == nil || errors.Is(other, err) {
			t.Errorf("an unknown stack: %v", other)
		}
	})
}

// A stack that is taken off the list runs on. With prune: true it is removed once a user approves
// that: the later one first, each removal in the audit log before it is made.
func TestPrunedStacks(t *testing.T) {
	inWorld(t, func(w *world) {
		threeStacks(w)
		w.commit("prune", configFile, layers("{name: system}", "{name: platform, prune: true}", "{name: business, prune: true}"))
		w.poll()
		off := w.commit("off", configFile, layers("{name: system}"))
		w.poll()
		status := w.of("platform").Status()
		if status.Left == nil || !status.Left.Prune || w.image("platform_db") != "db:1" || w.image("business_web") != "app:1" {
			t.Fatalf("platform %+v, runs %v", status.Left, w.live)
		}
		approve := func(stack record.StackKey, commit string) error {
			_, err := w.of(stack).Approve(person, request.Approve{Commit: commit, Reason: "it moved"})
			w.pass(time.Second)
			return err
		}
		if err := approve("platform", strings.Repeat("f", 40)); err == nil {
			t.Error("an approval of another commit was taken")
		}
		if err := approve("platform", off); err != nil || w.image("platform_db") != "db:1" {
			t.Errorf("the earlier stack was removed first: %v", err)
		}
		w.set(func() { w.busy = []string{"network business_default, which is still in use"} })
		if err := approve("business", off); err != nil || w.image("business_web") != "" || w.of("business").Status().Left == nil {
			t.Errorf("removing business: %v, runs %v", err, w.live)
		}
		w.set(func() { w.busy = nil })
		w.halt()
		w.start()
		w.poll()
		if keys := w.agent.Stacks(); len(keys) != 1 || w.image("platform_db") != "" || w.image("system_proxy") != "proxy:1" {
			t.Errorf("stacks %v, runs %v", keys, w.live)
		}
		var writes []string
		if err := w.audit.Read(func(entry audit.Entry) {
			if entry.Action == audit.Remove && entry.Outcome == audit.Started && entry.Kind == audit.Service {
				writes = append(writes, entry.Name+" by "+entry.Actor.Name)
			}
		}); err != nil || strings.Join(writes, ", ") != "business_web by ada, platform_db by ada" {
			t.Errorf("removed %v, %v", writes, err)
		}
		w.commit("again", configFile, layers("{name: system}", "{name: platform}"))
		w.poll()
		if w.image("platform_db") != "db:1" {
			t.Error("a stack that was removed and is listed again is not rolled out")
		}
	})
}

// Without prune: true in its last entry, no approval removes a stack.
func TestStackThatStays(t *testing.T) {
	inWorld(t, func(w *world) {
		threeStacks(w)
		off := w.commit("off", configFile, layers("{name: system}", "{name: platform}"))
		w.poll()
		if _, err := w.of("business").Approve(person, request.Approve{Commit: off, Reason: "it moved"}); err == nil {
			t.Error("the approval was taken")
		}
		whole, err := w.agent.Status("")
		if err != nil || len(whole.Stacks) != 3 || !strings.Contains(whole.Stacks[2].Text, report.NotManaged) || !whole.InSync {
			t.Errorf("%+v, %v", whole.Stacks, err)
		}
		w.poll()
		if w.image("business_web") != "app:1" {
			t.Error("the stack was removed")
		}
	})
}

// A commit that adds a stack and lifts the approval at once is judged by the config.yml that the
// node's other stacks run with: the new stack waits, too.
func TestNewStackIsJudged(t *testing.T) {
	inWorld(t, func(w *world) {
		strict := "approval: {required: true}\n"
		path, content := w.edit("platform", "db", "db:1")
		first := w.commit("strict", configFile, layers("{name: platform}")+strict, path, content)
		w.start()
		if _, err := w.of("platform").Approve(person, request.Approve{Commit: first, Reason: "checked"}); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Second)
		w.lastOf("platform", first, record.Succeeded)
		business, web := w.edit("business", "web", "evil:1")
		sly := w.commit("sly", configFile, layers("{name: platform}", "{name: business, waits_for: []}"), business, web)
		w.poll()
		w.lastOf("business", sly, record.Waiting)
		if w.image("business_web") != "" {
			t.Error("the new stack was rolled out without an approval")
		}
	})
}
