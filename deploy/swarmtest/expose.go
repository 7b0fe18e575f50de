package swarmtest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Expose makes the registry answer at its address in the test's own network, too, where a
// process that the test starts asks it, for the duration of the test.
func (r *Registry) Expose(tb testing.TB) {
	tb.Helper()
	if r.swarm.private != nil {
		r.swarm.forward(tb, r.Address, r.Address)
	}
}

// Reach gives an address in the test's own network at which a port of the engine's network
// answers for the duration of the test.
func (s *Swarm) Reach(tb testing.TB, port string) string {
	tb.Helper()
	address := net.JoinHostPort("127.0.0.1", port)
	if s.private == nil {
		return address
	}
	return s.forward(tb, "127.0.0.1:0", address)
}

// forward listens at an address of the test's own network, and connects what comes with one of
// the engine's network.
func (s *Swarm) forward(tb testing.TB, from, to string) string {
	tb.Helper()
	listener, err := net.Listen("tcp", from)
	if err != nil {
		tb.Fatalf("expose a port of the engine: %v", err)
	}
	var connections sync.WaitGroup
	connections.Go(func() {
		for {
			outer, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() { s.connect(outer, to) })
		}
	})
	tb.Cleanup(func() {
		_ = listener.Close()
		connections.Wait()
	})
	return listener.Addr().String()
}

// connect connects a connection with an address of the engine's network. It closes it if that
// does not answer.
func (s *Swarm) connect(outer net.Conn, to string) {
	defer func() { _ = outer.Close() }()
	var inner net.Conn
	err := s.inNetwork(func() (err error) {
		inner, err = net.Dial("tcp", to)
		return err
	})
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(inner, outer)
		_ = inner.Close()
	}()
	_, _ = io.Copy(outer, inner)
	_ = inner.Close()
}
