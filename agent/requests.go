package agent

import (
	"context"
	"errors"
	"slices"

	"coin.internal/coin-agent/agent/desk"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/agent/rollout"
)

// newDaemon gives what the desks of the stacks have in common.
func newDaemon(a *Agent) *desk.Daemon {
	parts := a.parts
	daemon := &desk.Daemon{
		Node:  report.Node{Environment: parts.Settings.Environment, Name: parts.Settings.Node},
		Owner: parts.Settings.Owner(), Version: parts.Version, Started: a.started, Groups: parts.Statuses != nil,
		Pulse: a.pulse, Policy: parts.Policy, Notices: parts.Notices, Tokens: parts.Tokens, Newest: parts.Newest, Reports: parts.Reports, Anchors: parts.Anchors,
	}
	if parts.Settings.Observes() {
		daemon.Mode = parts.Settings.Mode
	}
	return daemon
}

// newDesk makes the desk of a stack.
func newDesk(a *Agent, s *stack) *desk.Desk {
	return desk.New(desk.Parts{
		Daemon: a.daemon, Queue: a.queue, Loop: turns{a, s}, Stack: s, Board: s.board, Sight: s.sight,
		Left:    func() *report.Left { return leftOf(a, s) },
		Remove:  a.roster.Consents(s.key),
		Records: s.records, Plans: s.rollouts, Versions: s.keeper, Stops: s.stops, Note: s.notes.Add, Log: s.log,
	})
}

// Desk takes users' requests for a stack; "" for the only one.
func (a *Agent) Desk(key record.StackKey) (*desk.Desk, error) {
	s, err := a.roster.Named(key)
	if err != nil {
		return nil, err
	}
	return s.desk, nil
}

// Key gives the key of a stack that a user names; "" for the only one.
func (a *Agent) Key(named record.StackKey) (record.StackKey, error) {
	s, err := a.roster.Named(named)
	if err != nil {
		return "", err
	}
	return s.key, nil
}

// names gives the names of the stacks that are kept in sync, in their order.
func (a *Agent) names() (names []string) {
	for _, key := range a.Stacks() {
		names = append(names, string(key))
	}
	return names
}

// Stacks gives the keys of the stacks that are kept in sync, in their order.
func (a *Agent) Stacks() []record.StackKey { return a.roster.Keys() }

// Status gives what is known of a stack. Of a node with several it gives the worst if none is
// named, with a line for each.
func (a *Agent) Status(key record.StackKey) (status report.Status, err error) {
	stacks := a.roster.All()
	if key != "" || len(stacks) == 1 {
		asked, err := a.Desk(key)
		if err != nil {
			return status, err
		}
		status = asked.Status()
	}
	if len(stacks) == 1 {
		return status, nil
	}
	lines, worst := desk.Overview(stacks, func(s *stack) (record.StackKey, *desk.Desk) { return s.key, s.desk })
	if key == "" {
		status = worst
	}
	status.Stacks = lines
	return status, nil
}

// turns are the turns of the loop at one stack that users ask for.
type turns struct {
	agent *Agent
	stack *stack
}

// Look looks at the stack, and asks the remote again.
func (t turns) Look(ctx context.Context, why rollout.Cause, progress func(string)) rollout.Outcome {
	a := t.agent
	a.remote.Forget()
	a.opened.Begin()
	defer a.opened.Wipe()
	done := a.lookAt(ctx, t.stack, why, progress)
	for errors.Is(done.Err, errAnew) {
		a.Look() // for the other stacks
		if !slices.Contains(a.roster.Stacks(), t.stack) {
			done.Err = request.Refuse(request.Conflict, "`agent status` lists them", "config.yml of the commit lists other stacks of the node")
			return done
		}
		done = a.lookAt(ctx, t.stack, why, progress)
	}
	t.wake()
	return done
}

// Do does something for the stack.
func (t turns) Do(ctx context.Context, do func(context.Context) rollout.Outcome) rollout.Outcome {
	done := t.agent.do(ctx, t.stack, do)
	t.wake()
	return done
}

// wake has the loop look again at once if a stack waits for one that has just succeeded.
func (t turns) wake() {
	last := t.stack.board.Snapshot().Last
	if last == nil || last.State != record.Succeeded {
		return
	}
	for _, other := range t.agent.roster.Stacks() {
		waits := func(gate record.Gate) bool { return gate.Name == record.GateStack && gate.Waiting != "" }
		if sync := other.board.Snapshot().Last; sync != nil && sync.State == record.Waiting && sync.Commit == last.Commit && slices.ContainsFunc(sync.Gates, waits) {
			t.agent.Look()
		}
	}
}

// Nudge has the loop look at once, or again when it is busy.
func (t turns) Nudge() { t.agent.Look() }

// Back rolls the stack back for a user.
func (s *stack) Back(ctx context.Context, goal rollout.Rollback, progress func(string)) rollout.Outcome {
	return s.after(ctx, s.rollouts.Back(ctx, s.board.Snapshot().Base(), goal, progress), nil)
}
