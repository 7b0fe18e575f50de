package release

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/internal/fault"
)

// Agent is the API of a node's agent.
type Agent interface {
	Status(ctx context.Context) (report.Status, error)
	PlanRollback(ctx context.Context, asked request.Rollback) (*request.RollbackPlan, error)
	Rollback(ctx context.Context, asked request.Rollback) (*record.Sync, error)
}

// Member is a node of the group, with its agent, or why that cannot be asked.
type Member struct {
	Node  string
	Agent Agent
	Err   error
}

// Group rolls back the nodes of an environment through their agents' APIs.
type Group struct {
	Members []Member
	Asked   request.Rollback // without To and Digest, which each node has of its own
	Partial bool             // the others are rolled back though some cannot be
}

// Planned is what a rollback would do on a node.
type Planned struct {
	Node  string                `json:"node"`
	Plan  *request.RollbackPlan `json:"plan,omitempty"`
	Stays string                `json:"stays,omitempty"` // why the node stays as it is: it is back already
	Error string                `json:"error,omitempty"` // why the node cannot be rolled back

	runs string // the release that runs on the node
}

// Done is what a node did.
type Done struct {
	Node  string       `json:"node"`
	State record.State `json:"state,omitempty"`
	Text  string       `json:"text,omitempty"`
	Error string       `json:"error,omitempty"`
}

// answerIn is how long an agent is asked for its plan.
const answerIn = 20 * time.Second

// Plan asks all nodes at the same time. A node that is back already stays as it is, so that a
// second run rolls back the rest and no node twice. It is an error if a node cannot be rolled back,
// unless the rollback may be partial, and if none can be.
func (g Group) Plan(ctx context.Context) ([]Planned, error) {
	plans := make([]Planned, len(g.Members))
	var asking sync.WaitGroup
	for i, member := range g.Members {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, answerIn)
			defer cancel()
			plans[i] = g.ask(ctx, member)
		})
	}
	asking.Wait()
	stay(plans)
	text, able := "", 0
	for _, one := range plans {
		if one.Error != "" {
			text += "\n" + one.Node + ": " + one.Error
		} else {
			able++
		}
	}
	if text != "" && (!g.Partial || able == 0) {
		return plans, fault.New(fault.Place{}, "correct that: --api node=URL names another address, --token-file another token; or add --partial to roll back the other nodes all the same",
			"nothing was changed: not every node can be rolled back:%s", text)
	}
	return plans, ctx.Err()
}

// ask asks a node for its plan. One that a rollback keeps at a good state has none: a second
// rollback would go further back.
func (g Group) ask(ctx context.Context, member Member) Planned {
	made := Planned{Node: member.Node}
	if member.Err != nil {
		made.Error = member.Err.Error()
		return made
	}
	status, err := member.Agent.Status(ctx)
	if err == nil && status.Pinned != nil {
		made.runs = cmp.Or(status.Pinned.Release, status.Pinned.Commit)
		made.Stays = "it is rolled back already, to " + cmp.Or(status.Pinned.Release, record.Short(status.Pinned.Commit))
		return made
	}
	if err == nil {
		if status.Applied != nil {
			made.runs = cmp.Or(status.Applied.Release, status.Applied.Commit)
		}
		made.Plan, err = member.Agent.PlanRollback(ctx, g.Asked)
	}
	if err != nil {
		made.Plan, made.Error = nil, err.Error()
	}
	return made
}

// stay drops the plan of a node that runs what another node goes back to: it has not got the
// release that is left.
func stay(plans []Planned) {
	goals := map[string]bool{}
	for _, one := range plans {
		if one.Plan != nil {
			goals[cmp.Or(one.Plan.Release, one.Plan.Commit)] = true
		} else if one.Stays != "" {
			goals[one.runs] = true
		}
	}
	for i, one := range plans {
		if one.Plan != nil && goals[one.runs] && cmp.Or(one.Plan.Release, one.Plan.Commit) != one.runs {
			plans[i].Plan, plans[i].Stays = nil, "it runs "+one.runs+" already, to which another node goes back"
		}
	}
}

// Rolls reports whether a node has a plan.
func Rolls(plans []Planned) bool {
	return slices.ContainsFunc(plans, func(one Planned) bool { return one.Plan != nil })
}

// Run rolls back one node after the other by the plans that were shown. It goes on after a node
// that fails. each gets what a node did.
func (g Group) Run(ctx context.Context, plans []Planned, each func(Done)) error {
	failed := 0
	for i, plan := range plans {
		switch {
		case plan.Stays != "":
			each(Done{Node: plan.Node, Text: "stays as it is: " + plan.Stays})
			continue
		case plan.Plan == nil:
			each(Done{Node: plan.Node, Error: "left out: " + plan.Error})
			continue
		}
		if ctx.Err() != nil {
			each(Done{Node: plan.Node, Error: "not begun: the command was ended"})
			failed++
			continue
		}
		asked := g.Asked
		asked.To, asked.Digest = plan.Plan.To, plan.Plan.Digest
		sync, err := g.Members[i].Agent.Rollback(ctx, asked)
		done := Done{Node: plan.Node}
		switch {
		case err != nil:
			done.Error = err.Error()
		default:
			done.State, done.Text, done.Error = sync.State, sync.Summary, sync.Error
		}
		if done.State != record.RolledBack {
			failed++
		}
		each(done)
	}
	if failed > 0 {
		return fault.New(fault.Place{}, "`agent status --host URL` shows the node; run the command again to roll back the rest", "%s", fmt.Sprintf("%d of %d nodes did not roll back", failed, len(plans)))
	}
	return nil
}
