package release_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/release"
)

// node is an agent that keeps what it is asked.
type node struct {
	status         report.Status
	goal           string // release that it would go back to
	refuses, fails error
	asked          []request.Rollback
}

func (n *node) Status(context.Context) (report.Status, error) { return n.status, nil }

func (n *node) PlanRollback(context.Context, request.Rollback) (*request.RollbackPlan, error) {
	return &request.RollbackPlan{To: 7, Digest: "d7", Release: n.goal}, n.refuses
}

func (n *node) Rollback(_ context.Context, asked request.Rollback) (*record.Sync, error) {
	n.asked = append(n.asked, asked)
	return &record.Sync{State: record.RolledBack, Summary: "rolled back"}, n.fails
}

// running is a node that runs a release, and would go back to another.
func running(release, goal string) *node {
	return &node{status: report.Status{Applied: &report.AppliedStatus{Release: release}}, goal: goal}
}

// pinned is a node that a rollback keeps at a release, and that has none before it.
func pinned(release string) *node {
	return &node{status: report.Status{Pinned: &report.Pinned{Release: release}}, refuses: errors.New("no good state is recorded")}
}

func group(partial bool, nodes ...*node) release.Group {
	g := release.Group{Partial: partial, Asked: request.Rollback{Reason: "why"}}
	for i, one := range nodes {
		g.Members = append(g.Members, release.Member{Node: string(rune('a' + i)), Agent: one})
	}
	return g
}

// Each node is rolled back by the plan that it has shown.
func TestGroup(t *testing.T) {
	t.Parallel()
	a, b := &node{}, &node{fails: errors.New("the engine is down")}
	c := &node{}
	g := group(false, a, b, c)
	plans, err := g.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var done []release.Done
	err = g.Run(t.Context(), plans, func(one release.Done) { done = append(done, one) })
	want := []release.Done{{Node: "a", State: record.RolledBack, Text: "rolled back"}, {Node: "b", Error: "the engine is down"}, {Node: "c", State: record.RolledBack, Text: "rolled back"}}
	if diff := cmp.Diff(want, done); diff != "" || err == nil || err.Error() != "1 of 3 nodes did not roll back" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff([]request.Rollback{{To: 7, Digest: "d7", Reason: "why"}}, c.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// A node that cannot be rolled back stops all before the first one, unless a part is enough.
func TestGroupIsRefused(t *testing.T) {
	t.Parallel()
	a, b := &node{}, &node{refuses: errors.New("the token has the scope read")}
	_, err := group(false, a, b).Plan(t.Context())
	if err == nil || !strings.Contains(err.Error(), "nothing was changed: not every node can be rolled back:\nb: the token has the scope read") {
		t.Error(err)
	}
	if _, err := group(true, b).Plan(t.Context()); err == nil {
		t.Error("a rollback of no node is planned")
	}
	g := group(true, a, b)
	g.Members = append(g.Members, release.Member{Node: "c", Err: errors.New("no address")})
	plans, err := g.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var done []release.Done
	err = g.Run(t.Context(), plans, func(one release.Done) { done = append(done, one) })
	if err != nil || len(done) != 3 || done[0].State != record.RolledBack || done[2].Error != "left out: no address" || len(b.asked) > 0 {
		t.Errorf("got %+v, %v", done, err)
	}
}

// A node that is back already stays as it is, in whatever way it came there: a second run rolls back
// the rest, and takes no node further back.
func TestGroupRollsNoNodeBackTwice(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		nodes []*node
		want  string // nodes that roll back
	}{
		"all run the release":               {[]*node{running("3", "2"), running("3", "2")}, "ab"},
		"one has rolled back":               {[]*node{pinned("2"), running("3", "2")}, "b"},
		"all have":                          {[]*node{pinned("2"), pinned("2")}, ""},
		"one has not got the release":       {[]*node{running("3", "2"), running("2", "1")}, "a"},
		"the one that got it is back":       {[]*node{pinned("2"), running("2", "1")}, ""},
		"one failed, and runs a part of it": {[]*node{running("2", "2"), running("3", "2")}, "ab"},
		"one failed, and the other waits":   {[]*node{running("2", "2"), running("2", "1")}, "a"},
		"each has releases of its own":      {[]*node{running("3", "2"), running("9", "8")}, "ab"},
	} {
		g := group(false, test.nodes...)
		plans, err := g.Plan(t.Context())
		if err == nil {
			err = g.Run(t.Context(), plans, func(release.Done) {})
		}
		got := ""
		for i, one := range test.nodes {
			if len(one.asked) == 1 {
				got += g.Members[i].Node
			}
		}
		if err != nil || got != test.want || release.Rolls(plans) != (got != "") {
			t.Errorf("%s: %q roll back, want %q; %v", name, got, test.want, err)
		}
	}
}
