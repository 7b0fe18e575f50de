package release_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/release"
)

// node is an agent that keeps what it is asked.
type node struct {
	refuses, fails error
	asked          []request.Rollback
}

func (n *node) PlanRollback(context.Context, request.Rollback) (*request.RollbackPlan, error) {
	return &request.RollbackPlan{To: 7, Digest: "d7"}, n.refuses
}

func (n *node) Rollback(_ context.Context, asked request.Rollback) (*record.Sync, error) {
	n.asked = append(n.asked, asked)
	return &record.Sync{State: record.RolledBack, Summary: "rolled back"}, n.fails
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
