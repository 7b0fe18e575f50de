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
	if r.swarm.private == nil {
		return
	}
	listener, err := net.Listen("tcp", r.Address)
	if err != nil {
		tb.Fatalf("expose a registry: %v", err)
	}
	var connections sync.WaitGroup
	connections.Go(func() {
		for {
			outer, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() { r.forward(outer) })
		}
	})
	tb.Cleanup(func() {
		_ = listener.Close()
		connections.Wait()
	})
}

// forward connects a connection with the registry. It closes it if the registry does not answer.
func (r *Registry) forward(outer net.Conn) {
	defer func() { _ = outer.Close() }()
	var inner net.Conn
	err := r.swarm.inNetwork(func() (err error) {
		inner, err = net.Dial("tcp", r.Address)
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
