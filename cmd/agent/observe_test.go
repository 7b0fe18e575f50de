package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/record"
)

// TestObservingAgentWritesNothing has the agent observe a node whose stack docker stack deploy
// made. It says what it would change, and sends the engine no write. Restarted without the
// setting, it asks for the adoption, as any new agent does.
func TestObservingAgentWritesNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	commit := l.commit("first", l.smallRepo())
	secret := l.stack + "_db_access.1" // of the stack as it runs, which no agent has compared
	l.swarm.Docker(t, canaries["db_access"], "secret", "create", "--label", "com.docker.stack.namespace="+l.stack, secret, "-")
	l.swarm.Docker(t, monitoring, "stack", "deploy", "--resolve-image=never", "-c", "-", l.stack)
	before := l.indexes(l.stack)
	l.recorder.Reset()
	l.settings["mode"] = "observe"
	l.start()
	status := l.await(commit, record.Waiting)
	if !strings.HasPrefix(status.Sync.Waiting, "observe: would change ") || !strings.Contains(status.Sync.Waiting, "adoption is required") {
		t.Errorf("it waits for %q", status.Sync.Waiting)
	}
	if warned := strings.Join(status.Sync.Warnings, "\n"); !strings.Contains(warned, "not compared with the contents in Swarm, which takes a write: "+secret) {
		t.Errorf("warnings: %s", warned)
	}
	if posts := l.posts(commit, "skipped"); slices.Contains(posts, "success") {
		t.Errorf("GitLab was told %v", posts)
	}
	for _, line := range [][]string{{"status"}, {"sync"}, {"sync", "--wait"}, {"diff"}} {
		if _, out, errs := l.command(line...); !strings.Contains(out, "observe") {
			t.Errorf("%v does not say that the agent observes: %s%s", line, out, errs)
		}
	}
	if code, _, errs := l.command("rollback", "--yes", "--reason", "x"); code == exitDone {
		t.Errorf("rollback: exit %d: %s", code, errs)
	}
	for _, call := range l.recorder.Calls() {
		if call.Method != "GET" && call.Method != "HEAD" {
			t.Errorf("the engine was asked to %s %s", call.Method, call.Path)
		}
	}
	if diff := cmp.Diff(before, l.indexes(l.stack)); diff != "" || len(l.secrets()) != 1 {
		t.Errorf("the stack was written, with the secrets %v:\n%s", l.secrets(), diff)
	}
	l.stop()
	l.settings["mode"] = "sync"
	l.start()
	l.posts(commit, "pending")
	if status := l.await(commit, record.Waiting); !strings.HasPrefix(status.Sync.Waiting, "adoption is required") || status.Mode != "" {
		t.Errorf("mode %q; it waits for %q", status.Mode, status.Sync.Waiting)
	}
}
