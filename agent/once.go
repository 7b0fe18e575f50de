package agent

import (
	"context"
	"errors"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/rollout"
)

// Asked is what the user of a process asks for who makes one sync of each stack.
type Asked struct {
	Adopt bool   // the user adopts what the first sync of a stack takes over
	To    string // a tag; "" for the one that is followed
}

// Once makes one sync of each stack without a loop, for the user of this process. It gives
// the last sync, or the first one that failed.
func (a *Agent) Once(ctx context.Context, asked Asked, progress func(string)) (*record.Sync, error) {
	if err := a.recall(); err != nil {
		return nil, err
	}
	a.opened.Begin()
	defer a.opened.Wipe()
	var result rollout.Outcome
	done := map[*stack]bool{}
	anew := 0
	for s := next(a.roster.Stacks(), done); s != nil; s = next(a.roster.Stacks(), done) {
		why := rollout.Cause{Trigger: record.OnRequest, Actor: audit.Self(), Adopt: asked.Adopt, To: asked.To}
		if err := s.desk.NoteTag(why.Actor, asked.To); err != nil {
			return nil, err
		}
		result = a.do(ctx, s, func(ctx context.Context) rollout.Outcome { return s.lookOn(ctx, why, progress) })
		if errors.Is(result.Err, errAnew) && anew < mostAnew {
			anew++
			clear(done) // the stacks before it take the newer commit first
			continue
		}
		done[s] = true
		if result.Err != nil || result.Sync != nil && result.Sync.State != record.Succeeded {
			break
		}
	}
	survey(ctx, a)
	return result.Sync, result.Err
}

// Alone does something with an agent's desks in this process, where no loop runs: nothing is looked
// at, and what users ask of the loop is done meanwhile.
func Alone(ctx context.Context, a *Agent, do func(context.Context) error) error {
	if err := a.recall(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- do(ctx) }()
	for {
		select {
		case err := <-ended:
			return err
		case job := <-a.queue.Jobs():
			job.Run(ctx)
		}
	}
}

// next gives the first stack that is not among those; nil if there is none.
func next(stacks []*stack, done map[*stack]bool) *stack {
	for _, s := range stacks {
		if !done[s] {
			return s
		}
	}
	return nil
}

// Rollout gives the state of the services that a stack waits for now; nil if none does.
func (a *Agent) Rollout() *report.Rollout {
	for _, s := range a.roster.Stacks() {
		if now := s.desk.Rollout(); now != nil {
			return now
		}
	}
	return nil
}
