package main

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/audit"
)

// TestLoggedSyncs reads the audit log of a node with two stacks: each sync has the secrets that were
// created for its own stack.
func TestLoggedSyncs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log, err := audit.Open(dir, audit.Options{Environment: "sandbox", Node: "node3"})
	if err != nil {
		t.Fatal(err)
	}
	created := func(stack, name string) audit.Entry {
		return audit.Entry{Kind: audit.Secret, Action: audit.Create, Outcome: audit.Succeeded, Name: name, Stack: stack}
	}
	synced := func(stack string, outcome audit.Outcome) audit.Entry {
		return audit.Entry{Kind: audit.Stack, Action: audit.Sync, Outcome: outcome, Name: stack, Stack: stack, Revision: "c0ffee"}
	}
	err = log.Append(
		synced("system", audit.Started), synced("business", audit.Started), created("system", "db.2"), created("business", "own.1"),
		synced("business", audit.Succeeded), synced("system", audit.Failed),
	)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	syncs, err := loggedSyncs(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, one := range syncs {
		got = append(got, fmt.Sprint(one.Stack, " ", one.Commit, " ", one.Succeeded, " ", slices.Collect(maps.Keys(one.Created))))
	}
	if diff := cmp.Diff([]string{"business c0ffee true [own.1]", "system c0ffee false [db.2]"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
