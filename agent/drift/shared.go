package drift

import (
	"context"
	"time"

	"coin.internal/coin-agent/deploy"
)

// together is how old the services may be that one call read for several stacks.
const together = 5 * time.Second

// lister reads the services of one stack, or of several with one call, unless the engine's answer
// is the last one.
type lister interface {
	ObserveChanged(ctx context.Context, stackName string, last deploy.Answer) (deploy.LiveServices, deploy.Answer, error)
	ObserveStacks(ctx context.Context, stackNames []string, last deploy.Answer) (map[string]deploy.LiveServices, deploy.Answer, error)
}

// Shared reads the services of a node's stacks with one call a turn. It gives what was read
// once: a second read, one of a stack that may have been written, and a late one read a stack on
// its own. Only one goroutine may use it.
type Shared struct {
	Engine lister
	Stacks func() []string // their names in Swarm

	due    bool                           // the next read is of all stacks
	own    map[string]bool                // the stacks that are read on their own
	read   map[string]deploy.LiveServices // nil of a stack: as in the answer before
	answer deploy.Answer                  // that has read
	taken  taken
	anew   bool      // a stack needs its services from the next read of all
	at     time.Time // of that read
}

// taken are the services of a stack that a rollout has read, and no look has asked for.
type taken struct {
	stack    string // "" for none
	observed deploy.Observed
	at       time.Time
}

// Take takes the services that a rollout has just read of a stack, after its last write: the next
// read of the stack gives them.
func (s *Shared) Take(stack string, observed deploy.Observed) {
	if observed.Services != nil {
		s.taken = taken{stack, observed, time.Now()}
	}
}

// Begin begins a turn: its first read is of all stacks.
func (s *Shared) Begin() {
	s.due, s.read, s.own, s.taken = true, nil, map[string]bool{}, taken{}
}

// Write says that a stack may be written: what was read of it counts no longer in this turn. A
// write changes no service of another stack.
func (s *Shared) Write(stack string) {
	s.taken = taken{}
	if s.due || s.read != nil {
		s.own[stack] = true
	}
}

// End ends what Begin began: what was read counts no longer, and each stack is read on its own.
func (s *Shared) End() { s.due, s.read = false, nil }

// ObserveChanged gives the services of a stack, unless the engine's answer is the last one.
func (s *Shared) ObserveChanged(ctx context.Context, stack string, last deploy.Answer) (deploy.LiveServices, deploy.Answer, error) {
	if read := s.taken; read.stack == stack && stack != "" {
		s.taken = taken{}
		if time.Since(read.at) <= together {
			return read.observed.Services, read.observed.Answer, nil
		}
	}
	if s.due && !s.own[stack] {
		s.due = false
		if names := s.Stacks(); len(names) > 1 {
			if err := s.readAll(ctx, names); err != nil {
				return nil, deploy.Answer{}, err
			}
		}
	}
	live, there := s.read[stack]
	if !there || s.own[stack] || time.Since(s.at) > together {
		return s.Engine.ObserveChanged(ctx, stack, last)
	}
	delete(s.read, stack)
	if live == nil && last != s.answer {
		s.anew = true
		return s.Engine.ObserveChanged(ctx, stack, last)
	}
	return live, s.answer, nil
}

// readAll reads the services of all stacks.
func (s *Shared) readAll(ctx context.Context, names []string) error {
	if s.anew {
		s.answer = deploy.Answer{}
	}
	read, answer, err := s.Engine.ObserveStacks(ctx, names, s.answer)
	if err != nil {
		return err
	}
	if read == nil {
		read = map[string]deploy.LiveServices{}
		for _, name := range names {
			read[name] = nil
		}
	}
	s.read, s.answer, s.anew, s.at = read, answer, false, time.Now()
	return nil
}
