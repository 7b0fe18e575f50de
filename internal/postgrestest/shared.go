package postgrestest

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
)

// ours is the server that the tests of a binary share.
var ours struct {
	once   sync.Once
	server *Server
	life   *binary
}

// Main runs a package's tests and stops the server that they share, if any. A TestMain calls
// only os.Exit(postgrestest.Main(m)).
func Main(m *testing.M) int {
	code := m.Run()
	if ours.life == nil {
		return code
	}
	for _, end := range slices.Backward(ours.life.ends) {
		end()
	}
	return max(code, ours.life.code)
}

// Shared gives the server that all tests of a binary share: to make one takes seconds. A test leaves
// nothing in it that another one minds. The package's TestMain must call Main.
func Shared(tb testing.TB) *Server {
	tb.Helper()
	ours.once.Do(func() {
		ours.life = &binary{TB: tb}
		ours.server = New(ours.life)
	})
	if ours.server == nil {
		tb.Fatal("PostgreSQL did not start for an earlier test")
	}
	return ours.server
}

// binary is the first test, and what outlives it.
type binary struct {
	testing.TB
	ends []func()
	code int
}

// Cleanup has a function called after all tests.
func (b *binary) Cleanup(end func()) { b.ends = append(b.ends, end) }

// Errorf says what failed after all tests.
func (b *binary) Errorf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	b.code = 1
}
