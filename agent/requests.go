package agent

import (
	"context"

	"coin.internal/coin-agent/agent/desk"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/rollout"
)

// newDesks makes the desks of the stacks.
func (a *Agent) newDesks() (desks []*desk.Desk) {
	parts := a.parts
	daemon := &desk.Daemon{
		Node:  report.Node{Environment: parts.Settings.Environment, Name: parts.Settings.Node},
		Owner: parts.Settings.Owner(), Version: parts.Version, Started: a.started, Groups: parts.Statuses != nil,
		Pulse: a.pulse, Policy: parts.Policy, Notices: parts.Notices, Tokens: parts.Tokens,
	}
	if parts.Settings.Observes() {
		daemon.Mode = parts.Settings.Mode
	}
	if parts.Reports != nil {
		daemon.Reports = parts.Reports
	}
	if parts.Anchors != nil {
		daemon.Anchors = parts.Anchors
	}
	for _, s := range a.stacks {
		desks = append(desks, desk.New(desk.Parts{
			Daemon: daemon, Queue: a.queue, Loop: turns{a, s}, Stack: s, Board: s.board, Sight: s.sight,
			Records: s.records, Plans: s.rollouts, Versions: s.keeper, Stops: s.stops, Note: s.notes.Add, Log: s.log,
		}))
	}
	return desks
}

// turns are the turns of the loop at one stack that users ask for.
type turns struct {
	agent *Agent
	stack *stack
}

// Look looks at the stack, and asks the remote again.
func (t turns) Look(ctx context.Context, why rollout.Cause, progress func(string)) rollout.Outcome {
	t.agent.remote.Forget()
	return t.agent.lookAt(ctx, t.stack, why, progress)
}

// Do does something for the stack.
func (t turns) Do(ctx context.Context, do func(context.Context) rollout.Outcome) rollout.Outcome {
	return t.agent.do(ctx, t.stack, do)
}

// Nudge has the loop look at once, or again when it is busy.
func (t turns) Nudge() { t.agent.nudge() }

// Back rolls the stack back for a user.
func (s *stack) Back(ctx context.Context, goal rollout.Rollback, progress func(string)) rollout.Outcome {
	return s.after(ctx, s.rollouts.Back(ctx, s.board.Snapshot().Base(), goal, progress), nil)
}
