package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/internal/waitfor"
)

// nodeLabs are the nodes of an environment, each with an agent and a stack of its own,
// with one repository and one GitLab.
type nodeLabs struct {
	pair
	t          *testing.T
	deployment string            // lines of config.yml's deployment
	roles      map[string]string // of nodes
	tags       map[string]string // of nodes, where not "1"
	compose    map[string]string // of nodes, where not fleetCompose
}

// fleetCompose starts in a moment; its health is asked again and again.
const fleetCompose = `
services:
  web:
    image: coin-test/app:$TAG
    environment: {APP_RELEASE: $TAG}
    stop_grace_period: 1s
    healthcheck: {test: ["CMD", "/app", "health"], interval: 2s, timeout: 20s, retries: 3}
    deploy: {endpoint_mode: dnsrr, update_config: {monitor: 500ms}}
`

// slowCompose takes some seconds until it is healthy.
var slowCompose = strings.Replace(fleetCompose, "interval: 2s", "interval: 6s", 1)

// newFleet makes nodes that are on engines by turns. No daemon runs yet.
func newFleet(t *testing.T, engines []*swarmtest.Swarm, names ...string) *nodeLabs {
	t.Helper()
	f := &nodeLabs{t: t, roles: map[string]string{}, tags: map[string]string{}, compose: map[string]string{}}
	for i, name := range names {
		node := newLabOn(t, engines[i%len(engines)])
		if i == 0 {
			node.settings["node"] = name
		} else {
			node.joins(f.pair[0], name)
		}
		f.pair = append(f.pair, node)
	}
	return f
}

// commit commits what the fleet's fields say.
func (f *nodeLabs) commit(message string) string {
	f.t.Helper()
	config := "environment: {name: sandbox, type: non-production}\nnodes:\n"
	files := map[string]string{"README.md": message + "\n"}
	for _, node := range f.pair {
		name := node.settings["node"]
		config += fmt.Sprintf("  - {name: %s, context: c-%s, stack: %s%s}\n", name, name, node.stack, f.roles[name])
		dir := "environments/sandbox/nodes/" + name + "/"
		files[dir+"node.env"] = "TAG=" + or(f.tags[name], "1") + "\n"
		files[dir+"docker-compose.yml"] = or(f.compose[name], fleetCompose)
	}
	files["environments/sandbox/config.yml"] = config + "deployment:\n  health_check: {timeout: 2m}\n  " + f.deployment + "\nimages: {missing: warn}\n"
	return f.pair[0].commit(message, files)
}

func or(text, standard string) string {
	if text == "" {
		return standard
	}
	return text
}

// each tag of the nodes from now on.
func (f *nodeLabs) release(tag string) {
	for _, node := range f.pair {
		f.tags[node.settings["node"]] = tag
	}
}

// node gives the lab of a node.
func (f *nodeLabs) node(name string) *lab {
	return f.pair[slices.IndexFunc(f.pair, func(l *lab) bool { return l.settings["node"] == name })]
}

// all waits until each node has come to the same outcome.
func (f *nodeLabs) all(commit string, want record.State) {
	f.t.Helper()
	f.each(func(node *lab) { node.await(commit, want) })
}

// step is a subtest in which the fleet's own checks fail, too.
func (f *nodeLabs) step(name string, act func()) {
	whole := f.t
	f.pair.step(name, func() {
		f.t = f.pair[0].t
		act()
	})
	f.t = whole
}

// timeline lists what GitLab took for a commit: "node3 running", "node3 success" …
func (f *nodeLabs) timeline(commit string) []string {
	var took []string
	for _, post := range f.pair[0].gitlab.Statuses(commit).Posts {
		took = append(took, strings.TrimPrefix(post.Name, "coin-agent/sandbox/")+" "+post.State)
	}
	return took
}

// inTurn checks that in the timeline of a commit each event comes after the one
// before it.
func (f *nodeLabs) inTurn(commit string, events ...string) {
	f.t.Helper()
	var took []string
	waitfor.NoError(f.t, patience, func() error {
		took = f.timeline(commit)
		for _, event := range events {
			if !slices.Contains(took, event) {
				return fmt.Errorf("GitLab has no %q: %v", event, took)
			}
		}
		return nil
	})
	for i := 1; i < len(events); i++ {
		if slices.Index(took, events[i-1]) > slices.Index(took, events[i]) {
			f.t.Errorf("%q came before %q: %v", events[i], events[i-1], took)
		}
	}
}

// holds checks that a node waits for a commit in these words for some looks, and
// that it writes nothing to its engine.
func (l *lab) holds(commit, words string) {
	l.t.Helper()
	l.until("waiting: "+words, func(s report.Status) bool {
		return s.Sync != nil && s.Sync.Commit == commit && s.Sync.State == record.Waiting && strings.Contains(s.Sync.Waiting, words)
	})
	l.recorder.Reset()
	status := l.looks(2)
	if status.Sync.Commit != commit || status.Sync.State != record.Waiting || !strings.Contains(status.Sync.Waiting, words) {
		l.t.Errorf("%s is %s: %s %s", l.settings["node"], status.Sync.State, status.Sync.Waiting, status.Sync.Error)
	}
	if writes := l.recorder.Writes(); len(writes) > 0 {
		l.t.Errorf("%s wrote while it waited: %v", l.settings["node"], writes)
	}
}

// runs checks which image the node's service has.
func (l *lab) runs(tag string) {
	l.t.Helper()
	waitfor.NoError(l.t, patience, func() error {
		image := l.service("web").Spec.TaskTemplate.ContainerSpec.Image
		if !strings.HasPrefix(image+"@", "coin-test/app:"+tag+"@") {
			return fmt.Errorf("%s runs %s, not %s", l.settings["node"], image, tag)
		}
		return nil
	})
}
