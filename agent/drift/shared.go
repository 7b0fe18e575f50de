package drift

import (
	"context"
	"time"

	"coin.internal/coin-agent/deploy"
)

// together is how old the services may be that one call read for several stacks.
const together = 5 * time.Second

// lister reads the services of one stack, or of several with one call.
type lister interface {
	ObserveServices(ctx context.Context, stackName string) (deploy.LiveServices, error)
	ObserveStacks(ctx context.Context, stackNames []string) (map[string]deploy.LiveServices, error)
}

// Shared reads the services of a node's stacks with one call a turn. It gives what was read
// once: a second read, one of a stack that may have been written, and a late one read a stack on
// its own. Only one goroutine may use it.
type Shared struct {
	Engine lister
	Stacks func() []string // their names in Swarm

	due  bool            // the next read is of all stacks
	own  map[string]bool // the stacks that are read on their own
	read map[string]deploy.LiveServices
	at   time.Time // of that read
}

// Begin begins a turn: its first read is of all stacks.
func (s *Shared) Begin() { s.due, s.read, s.own = true, nil, map[string]bool{} }

// Write says that a stack may be written: what was read of it counts no longer in this turn. A
// write changes no service of another stack.
func (s *Shared) Write(stack string) {
	if s.due || s.read != nil {
		s.own[stack] = true
	}
}

// End ends what Begin began: what was read counts no longer, and each stack is read on its own.
func (s *Shared) End() { s.due, s.read = false, nil }

// ObserveServices gives the services of a stack.
func (s *Shared) ObserveServices(ctx context.Context, stack string) (deploy.LiveServices, error) {
	if s.due && !s.own[stack] {
		s.due = false
		if names := s.Stacks(); len(names) > 1 {
			read, err := s.Engine.ObserveStacks(ctx, names)
			if err != nil {
				return nil, err
			}
			s.read, s.at = read, time.Now()
		}
	}
	live, there := s.read[stack]
	if !there || s.own[stack] || time.Since(s.at) > together {
		return s.Engine.ObserveServices(ctx, stack)
	}
	delete(s.read, stack)
	return live, nil
}
