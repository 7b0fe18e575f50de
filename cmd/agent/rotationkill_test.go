package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy/swarmtest"
)

var (
	createsSecret  = regexp.MustCompile(`^POST /secrets/create$`)
	updatesService = regexp.MustCompile(`^POST /services/[^/]+/update$`)
)

// matching counts the calls of a kind.
func matching(calls []swarmtest.Call, kind *regexp.Regexp) int {
	return len(slices.DeleteFunc(slices.Clone(calls), func(c swarmtest.Call) bool { return !kind.MatchString(c.String()) }))
}

// TestKillInRotation kills the agent when a rotation's new secret is created and its first
// user has just got it: the next start comes to the same end, with one secret more, and each
// user restarted once.
func TestKillInRotation(t *testing.T) {
	l, first := newSmallLab(t)
	l.running(first)
	clone := l.clone()
	before, secrets := l.tasks(), l.secrets()
	rotation := l.rotate(clone, "web_auth", "--environment", "sandbox", "--generate", "32")
	commit := l.crashAt(crash{write: 3, lost: true}, func() string { return l.merge(rotation.Result.Commit.Branch) })
	writes := l.recorder.Writes()
	if len(writes) < 3 || !createsSecret.MatchString(writes[1].String()) || !updatesService.MatchString(writes[2].String()) {
		l.t.Fatalf("killed after %v", writes)
	}
	made := slices.DeleteFunc(l.secrets(), func(name string) bool { return slices.Contains(secrets, name) })
	next := strings.TrimPrefix(rotation.Nodes[0].Secrets[0].New, l.stack+"_")
	if diff := cmp.Diff([]string{l.stack + "_" + next}, made); diff != "" {
		l.t.Errorf("at the kill, new secrets:\n%s", diff)
	}
	l.start()
	l.await(commit, record.Succeeded)
	if n := matching(l.recorder.Writes(), createsSecret); n != 1 {
		l.t.Errorf("the secret was created %d times", n)
	}
	if diff := cmp.Diff([]string{"cron_service", "web", "worker"}, l.restarted(before)); diff != "" {
		l.t.Errorf("restarted:\n%s", diff)
	}
	value, after := l.value("web_auth"), l.tasks()
	for _, service := range []string{"web", "worker"} {
		if n := len(after[service]) - len(before[service]); n != 1 {
			l.t.Errorf("%s has %d new tasks", service, n)
		}
		if _, content := l.sees(service, "web_auth"); content != value {
			l.t.Errorf("%s does not read the new value", service)
		}
	}
	l.mustRun(exitDone, []string{"no difference"}, "diff")
	l.mustRun(exitDone, []string{"in sync"}, "status")
	if diff := cmp.Diff([]string{"pending", "running", "success"}, l.posts(commit, "success")); diff != "" {
		l.t.Errorf("posts:\n%s", diff)
	}
}
