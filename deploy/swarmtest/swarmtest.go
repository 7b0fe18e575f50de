package swarmtest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"coin.internal/coin-agent/internal/demoimage"
	"coin.internal/coin-agent/internal/fault"
)

// HostVariable names an engine to use instead of a private one.
const HostVariable = "SWARM_TEST_HOST"

// Tests of one binary share one engine: starting one takes seconds.
var (
	ours      shared
	stacks    atomic.Int64
	importing sync.Mutex // the image is built once, not by each parallel test
)

// sideBySide is how many parallel tests of a package run at a time: they mostly wait for the
// engine.
const sideBySide = 6

// Main runs a package's tests and stops the engine that they started, if any. A TestMain
// calls only os.Exit(swarmtest.Main(m)).
func Main(m *testing.M) int {
	flag.Parse()
	if n := flag.Lookup("test.parallel"); n.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		if err := n.Value.Set(strconv.Itoa(max(sideBySide, runtime.GOMAXPROCS(0)))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	code := m.Run()
	if ours.private == nil {
		return code
	}
	if err := ours.private.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// Swarm is the engine that a test uses.
type Swarm struct {
	Host string
	API  *client.Client

	private *Private // nil for the engine of $SWARM_TEST_HOST
}

// Engine gives the test's Swarm, and starts it for the first test. The package's TestMain
// must call Main.
func Engine(tb testing.TB) *Swarm {
	tb.Helper()
	ours.once.Do(func() {
		if ours.host = os.Getenv(HostVariable); ours.host != "" {
			return
		}
		// It runs longer than the first test.
		if ours.private, ours.err = Start(context.WithoutCancel(tb.Context()), ""); ours.err == nil {
			ours.host = ours.private.Host
		}
	})
	if ours.err != nil {
		tb.Fatalf("%v\nhint: %s", ours.err, fault.Hint(ours.err))
	}
	api, err := client.NewClientWithOpts(client.WithHost(ours.host), client.WithAPIVersionNegotiation())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = api.Close() })
	return &Swarm{Host: ours.host, API: api, private: ours.private}
}

// Image loads the demo program into the engine with each of the references.
func (s *Swarm) Image(tb testing.TB, refs ...string) {
	tb.Helper()
	importing.Lock()
	defer importing.Unlock()
	if err := demoimage.Import(tb.Context(), s.API, refs); err != nil {
		tb.Fatal(err)
	}
}

// Stack gives a stack name for the test, and removes the stack when the test ends. If the
// test failed, it shows the tasks and their logs.
func (s *Swarm) Stack(tb testing.TB) string {
	tb.Helper()
	return s.Named(tb, fmt.Sprintf("t%d-%d", os.Getpid()%100000, stacks.Add(1)))
}

// Named is Stack with a name that no other test has.
func (s *Swarm) Named(tb testing.TB, name string) string {
	tb.Helper()
	tb.Cleanup(func() {
		// The context of the test has ended.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), 5*time.Minute)
		defer cancel()
		if tb.Failed() {
			s.dump(ctx, tb, name)
		}
		s.remove(ctx, tb, name)
	})
	return name
}

// Docker runs the docker command with the engine and the given standard input, and gives its
// output. An update that Swarm itself has overtaken is tried again: nothing was written.
func (s *Swarm) Docker(tb testing.TB, input string, arguments ...string) string {
	tb.Helper()
	program, err := exec.LookPath("docker")
	if err != nil {
		tb.Fatalf("%v\nhint: install docker.io, or the docker CLI 20.10 or newer", err)
	}
	for {
		command := exec.CommandContext(tb.Context(), program, append([]string{"--host", s.Host}, arguments...)...)
		command.Stdin = strings.NewReader(input)
		output, err := command.CombinedOutput()
		switch {
		case err == nil:
			return string(output)
		case !strings.Contains(string(output), "update out of sequence"):
			tb.Fatalf("docker %s: %v\n%s", strings.Join(arguments, " "), err, output)
		}
	}
}
