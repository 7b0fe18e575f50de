package checks_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/checks"
)

func TestTCP(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	list := []checks.Check{
		{Name: "open", Timeout: time.Minute, TCP: &checks.TCP{Address: "{{public_ip}}:" + port}},
		{Name: "closed", Timeout: time.Minute, TCP: &checks.TCP{Address: "{{public_ip}}:1"}},
	}
	results := checks.Run(t.Context(), list, checks.Options{Facts: map[string]string{"public_ip": "127.0.0.1"}})
	if !results[0].OK {
		t.Errorf("got %+v", results[0])
	}
	want := "check closed (tcp 127.0.0.1:1): got no connection: connect: connection refused, want a connection (1 attempt)"
	if got := results[1].Failure(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// engine runs commands in tests.
type engine func(ctx context.Context, service string, command []string) (int, string, error)

func (e engine) Exec(ctx context.Context, service string, command []string) (int, string, error) {
	return e(ctx, service, command)
}

func TestExec(t *testing.T) {
	t.Parallel()
	says := func(code int, output string, err error) engine {
		return func(context.Context, string, []string) (int, string, error) { return code, output, err }
	}
	for name, test := range map[string]struct {
		engine engine
		want   string
	}{
		"good":       {says(0, "all well\n", nil), ""},
		"exit code":  {says(7, "first\nlast canary-x\n", nil), `got exit code 7 ("last ***"), want 0`},
		"output":     {says(0, "nothing\n", nil), `got output without "well" ("nothing")`},
		"no service": {says(0, "", errors.New("service web has no running task on this node")), "no running task"},
		"arguments": {func(_ context.Context, service string, command []string) (int, string, error) {
			return 0, "well", errors.New(service + fmt.Sprint(command))
		}, "web[/app node3]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check := checks.Check{Name: "command", Timeout: time.Minute, Exec: &checks.Exec{Service: "web", Command: []string{"/app", "{{node}}"}, OutputContains: "well"}}
			judge(t, checks.Run(t.Context(), []checks.Check{check}, checks.Options{
				Facts: map[string]string{"node": "node3"}, Secrets: map[string]checks.Secret{"x": value("canary-x")}, Execer: test.engine,
			})[0], test.want)
		})
	}
	check := checks.Check{Name: "command", Timeout: time.Minute, Exec: &checks.Exec{Service: "web", Command: []string{"cat"}}}
	judge(t, checks.Run(t.Context(), []checks.Check{check}, checks.Options{
		Execer: says(1, "canary-x", nil), Unknown: func(service string) string { return service + "_key" },
	})[0], "got exit code 1 (not shown, because the value of the secret web_key is unknown and cannot be masked), want 0")
}

// TestTarget checks that targets hide secrets in plaintext from config.yml or a variable,
// and hide nothing else.
func TestTarget(t *testing.T) {
	t.Parallel()
	const plain = "plain-canary"
	looks := func(text string) string { return strings.ReplaceAll(text, "looks-secret", "***") }
	ask := checks.HTTP{URL: "http://127.0.0.1:1/health?key={{env.KEY}}", Method: "GET", Status: []int{200}}
	list := []checks.Check{
		{Name: "url", Timeout: time.Minute, HTTP: &ask},
		{Name: "command", Timeout: time.Minute, Exec: &checks.Exec{Service: "web", Command: []string{"ask", "--key", "{{env.KEY}}", "looks-secret"}}},
		{Name: "port", Timeout: time.Minute, TCP: &checks.TCP{Address: "127.0.0.1:1"}},
	}
	results := checks.Run(t.Context(), list, checks.Options{
		Facts: map[string]string{"env.KEY": plain}, Secrets: map[string]checks.Secret{"key": value(plain)}, Mask: looks,
	})
	for i, want := range []string{"http://127.0.0.1:1/health?key=***", "web: ask --key *** ***", "127.0.0.1:1"} {
		if results[i].Target != want {
			t.Errorf("got %q, want %q", results[i].Target, want)
		}
	}
}

// TestSideBySide runs many checks: eight at a time, while others wait for their next
// attempt. The results have the order of the list.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		slow := engine(func(context.Context, string, []string) (int, string, error) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Second)
			now.Add(-1)
			return 1, "", nil
		})
		var list []checks.Check
		for i := range 20 {
			list = append(list, checks.Check{Name: fmt.Sprint(i), Retries: 1, Interval: 10 * time.Second, Timeout: time.Minute, Exec: &checks.Exec{Service: "web"}})
		}
		started := time.Now()
		var last checks.Progress
		results := checks.Run(t.Context(), list, checks.Options{Execer: slow, Progress: func(p checks.Progress) { last = p }})
		if took := time.Since(started); took != 14*time.Second || most.Load() != 8 {
			t.Errorf("it took %s with %d at a time, want 14s with 8", took, most.Load())
		}
		for i, result := range results {
			if result.Name != fmt.Sprint(i) || result.Attempts != 2 || result.OK || result.Seconds != 1 {
				t.Errorf("%d: got %+v", i, result)
			}
		}
		if diff := cmp.Diff(checks.Progress{All: 20, Ended: 20}, checks.Progress{All: last.All, Ended: last.Ended, Passed: last.Passed}); diff != "" {
			t.Error(diff)
		}
	})
}

// TestEnded checks that the checks stop when the context ends.
func TestEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(3*time.Second, func() { cancel(errors.New("superseded")) })
		failing := engine(func(ctx context.Context, service string, _ []string) (int, string, error) {
			if service == "hangs" {
				<-ctx.Done()
				return 0, "", ctx.Err()
			}
			return 1, "", nil
		})
		list := []checks.Check{
			{Name: "waits", Retries: 100, Interval: time.Hour, Timeout: time.Minute, Exec: &checks.Exec{Service: "fails"}},
			{Name: "hangs", Retries: 100, Interval: time.Hour, Timeout: time.Hour, Exec: &checks.Exec{Service: "hangs"}},
		}
		started := time.Now()
		results := checks.Run(ctx, list, checks.Options{Execer: failing})
		if took := time.Since(started); took != 3*time.Second {
			t.Errorf("it took %s", took)
		}
		for _, result := range results {
			if result.OK || !strings.Contains(result.Error, "superseded") {
				t.Errorf("got %+v", result)
			}
		}
	})
}

func TestCompare(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		earlier  []float64
		seconds  float64
		baseline float64
		slower   bool
	}{
		"nothing before":    {nil, 9, 0, false},
		"too few":           {[]float64{1, 1}, 9, 0, false},
		"as before":         {[]float64{1, 1.1, 0.9}, 1.19, 1, false},
		"slower":            {[]float64{0.9, 1.1, 1}, 1.21, 1, true},
		"below the floor":   {[]float64{.002, .002, .002}, .003, .002, false},
		"just at the floor": {[]float64{.01, .01, .01}, .0601, .01, true},
		"even":              {[]float64{4, 1, 2, 3}, 3.1, 2.5, true},
		"outlier before":    {[]float64{1, 1, 60}, 1.1, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result := checks.Result{OK: true, Seconds: test.seconds}
			result.Compare(test.earlier, 20)
			if result.Baseline != test.baseline || result.Slower != test.slower {
				t.Errorf("got %+v, want baseline %v, slower %v", result, test.baseline, test.slower)
			}
		})
	}
	result := checks.Result{Name: "health", Kind: "GET", Target: "http://a", Seconds: .5, Baseline: .25}
	if want := "check health (GET http://a) took 500 ms, 100% more than the median 250 ms of the last good releases (allowed: 20%)"; result.Slowness(20) != want {
		t.Errorf("got %q", result.Slowness(20))
	}
}

// TestUnknownName runs a check with a name that no earlier check saves.
func TestUnknownName(t *testing.T) {
	t.Parallel()
	own := checks.HTTP{URL: "http://127.0.0.1:1/{{id}}", Method: "GET", Status: []int{200}, JSONPath: "id", SaveAs: "id"}
	result := checks.Run(t.Context(), []checks.Check{{Name: "own", Timeout: time.Minute, HTTP: &own}}, checks.Options{})[0]
	judge(t, result, "{{id}} is not defined")
}
