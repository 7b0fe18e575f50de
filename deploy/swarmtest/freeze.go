package swarmtest

import (
	"syscall"
	"testing"
)

// Freeze stops the engine's process until Thaw or the end of the test: the engine still takes
// calls, and answers none. The engine must come from Own.
func (s *Swarm) Freeze(tb testing.TB) {
	tb.Helper()
	s.signal(tb, syscall.SIGSTOP)
	tb.Cleanup(func() { s.signal(tb, syscall.SIGCONT) })
}

// Thaw lets a frozen engine continue.
func (s *Swarm) Thaw(tb testing.TB) {
	tb.Helper()
	s.signal(tb, syscall.SIGCONT)
}

func (s *Swarm) signal(tb testing.TB, signal syscall.Signal) {
	tb.Helper()
	if s.private == nil {
		tb.Fatalf("%s to the engine: it is not private", signal)
	}
	if err := s.private.process.Signal(signal); err != nil {
		tb.Error(err)
	}
}
