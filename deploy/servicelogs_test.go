package deploy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/enginetest"
)

// logged runs a service on a simulated engine that sends what a function gives.
func logged(t *testing.T, logs func(options container.LogsOptions) (io.ReadCloser, error)) *deploy.Engine {
	t.Helper()
	sim := simulated()
	engine := deploy.New(sim.Client(enginetest.Hooks{Logs: func(_ string, options container.LogsOptions) (io.ReadCloser, error) { return logs(options) }}))
	stack := newStack("t")
	add(stack, "web", nil)
	verify(t, engine, stack, apply(t, engine, stack))
	return engine
}

// printed gives lines as the engine sends them, each a second after the one before.
func printed(from time.Time, lines ...string) io.Reader {
	var text bytes.Buffer
	out := stdcopy.NewStdWriter(&text, stdcopy.Stdout)
	for i, line := range lines {
		_, _ = fmt.Fprintf(out, "%s %s\n", from.Add(time.Duration(i)*time.Second).Format(time.RFC3339Nano), line)
	}
	return &text
}

// The newest lines are shown, however long those before are, and what is missing is noted.
func TestNewestLines(t *testing.T) {
	long := strings.Repeat("x", 60<<10)
	var many []string
	for range 100 {
		many = append(many, long)
	}
	for name, test := range map[string]struct {
		lines []string
		after io.Reader // comes then
		notes string
	}{
		"few":          {[]string{"first", "newest"}, strings.NewReader(""), ""},
		"long":         {append(many[:100:100], "newest"), strings.NewReader(""), "earlier lines are left out, because they are long"},
		"a broken end": {[]string{"newest"}, strings.NewReader("no header of the engine"), "its lines cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				engine := logged(t, func(container.LogsOptions) (io.ReadCloser, error) {
					return io.NopCloser(io.MultiReader(printed(time.Now(), test.lines...), test.after)), nil
				})
				var text, notes []string
				err := engine.ServiceLogs(t.Context(), "t_web", deploy.LogOptions{Lines: 100, Masks: deploy.NewMasks()}, func(line deploy.LogLine) error {
					if line.Stream == "note" {
						notes = append(notes, line.Text)
					} else {
						text = append(text, line.Text)
					}
					return nil
				})
				if err != nil || len(text) == 0 || text[len(text)-1] != "newest" {
					t.Errorf("%v; %d lines without the newest", err, len(text))
				}
				if got := strings.Join(notes, "|"); !strings.HasPrefix(got, test.notes) || test.notes == "" && got != "" {
					t.Errorf("notes: %q", got)
				}
				size := 0
				for _, line := range text {
					size += len(line)
				}
				if size > 200<<10 {
					t.Errorf("it keeps %d bytes", size)
				}
			})
		})
	}
}

// A follower gets the lines that come after a stream has broken, each once, and learns why it
// broke.
func TestBrokenStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, asked := time.Now(), atomic.Int32{}
		engine := logged(t, func(options container.LogsOptions) (io.ReadCloser, error) {
			if !options.Follow {
				return io.NopCloser(printed(began, "one")), nil
			}
			switch asked.Add(1) {
			case 1:
				return io.NopCloser(io.MultiReader(printed(began, "one", "two"), strings.NewReader("no header of the engine"))), nil
			case 2, 3:
				return nil, errors.New("the node is away")
			}
			if since := began.Add(time.Second).Format(time.RFC3339Nano); options.Since != since {
				t.Errorf("asked for lines since %s, want %s", options.Since, since)
			}
			return io.NopCloser(printed(began.Add(time.Second), "two", "three")), nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var all []string
		err := engine.ServiceLogs(ctx, "t_web", deploy.LogOptions{Lines: 100, Follow: true, Masks: deploy.NewMasks()}, func(line deploy.LogLine) error {
			if all = append(all, line.Text); line.Text == "three" {
				return io.EOF
			}
			return nil
		})
		got := strings.Join(all, "|")
		if !errors.Is(err, io.EOF) || !strings.HasPrefix(got, "one|two|its lines cannot be read") || !strings.HasSuffix(got, "away|three") || strings.Count(got, "away") != 1 {
			t.Errorf("%v: %s", err, got)
		}
	})
}
