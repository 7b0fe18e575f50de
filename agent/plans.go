package agent

import (
	"context"

	"coin.internal/coin-agent/agent/decision"
	"coin.internal/coin-agent/agent/preview"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/rollout"
	gitsync "coin.internal/coin-agent/sync"
)

// Previews are what the plans of merge requests need besides what the stacks have.
type Previews struct {
	Branch   string        // that merge requests go into
	Heads    func() uint64 // of the followed repository: changes when a branch has moved
	Requests preview.Requests
	Notes    preview.Notes
}

// plans shows the plans of merge requests; without a worker, none.
type plans struct{ worker *preview.Worker }

// newPlans makes what shows the plans of merge requests for a stack.
func newPlans(s *stack) plans {
	parts := s.parts
	if parts.Previews == nil || parts.Reports == nil {
		return plans{}
	}
	node := s.node.Node
	if s.name != "" {
		node += "/" + s.name
	}
	return plans{preview.New(preview.Options{
		Environment: s.node.Environment, Node: node, Status: "coin-agent/" + s.node.Environment + "/" + node + "/plan",
		Branch: parts.Previews.Branch, Paths: parts.Settings.Paths(), Heads: parts.Previews.Heads,
		Requests: parts.Previews.Requests, Notes: parts.Previews.Notes, Source: parts.signed, Signer: parts.gate.Check, Planner: planner{s},
		Last: func() *record.Sync { return s.board.Snapshot().Last }, Syncs: s.records,
		Reports: parts.Reports, Store: parts.Store.Previews(s.key), Log: s.log, Random: parts.Random,
	})}
}

// planner makes plans by the stages of a rollout.
type planner struct{ s *stack }

func (p planner) Preview(ctx context.Context, checkout *gitsync.Checkout, concerned func() (bool, error)) (*rollout.Preview, error) {
	return p.s.rollouts.Preview(ctx, p.s.board.Snapshot().Base(), checkout, concerned)
}

// Run shows plans until ctx ends.
func (p plans) Run(ctx context.Context) {
	if p.worker != nil {
		_ = p.worker.Run(ctx)
	}
}

// Look says that branches may have moved, or that a sync may be over.
func (p plans) Look() {
	if p.worker != nil {
		p.worker.Look()
	}
}

// Hold ends a plan that is being made, and lets none begin until release is called.
func (p plans) Hold() (release func()) {
	if p.worker == nil {
		return func() {}
	}
	return p.worker.Hold()
}

// Relist has the open merge requests listed, although no branch has moved.
func (a *Agent) Relist() {
	for _, s := range a.all() {
		if s.plans.worker != nil {
			s.plans.worker.Relist()
		}
	}
}

// holdPlans holds those of all stacks.
func (a *Agent) holdPlans() (release func()) {
	var all []func()
	for _, s := range a.all() {
		all = append(all, s.plans.Hold())
	}
	return func() {
		for _, release := range all {
			release()
		}
	}
}

// works reports whether an action reads a commit, or begins or continues an attempt.
func works(action decision.Action) bool {
	switch action {
	case decision.AskFiles, decision.CarryBack, decision.LeaveGroup, decision.LeaveRelease, decision.Sync, decision.CorrectSync, decision.CorrectBack:
		return true
	case decision.Wait, decision.Unreachable, decision.AskRemote, decision.AskGroup, decision.AskLineage, decision.AskDrift,
		decision.RefusePinned, decision.RefuseRewrite, decision.RefuseSigner, decision.Share:
	}
	return false
}
