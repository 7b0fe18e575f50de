package pulse_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/pulse"
)

// heard is what a supervisor was told, with the second of each state.
type heard struct {
	started time.Time
	states  []string
}

func (h *heard) Every() time.Duration { return 20 * time.Second }

func (h *heard) Tell(states ...string) error {
	h.states = append(h.states, time.Since(h.started).String()+" "+strings.Join(states, " "))
	return nil
}

// systemd hears that the agent is ready after the first look, or when that begins a rollout, and
// of its progress as long as there is some.
func TestSupervise(t *testing.T) {
	for name, test := range map[string]struct {
		first func(p *pulse.Pulse)
		want  string
	}{
		"a look":    {func(p *pulse.Pulse) { p.Looked(); p.Rest(time.Minute) }, "5s READY=1, 5s WATCHDOG=1, 15s WATCHDOG=1, 20s STOPPING=1"},
		"a rollout": {func(p *pulse.Pulse) { p.Begin("load", time.Hour) }, "5s READY=1, 5s WATCHDOG=1, 15s WATCHDOG=1, 20s STOPPING=1"},
		"stuck":     {func(p *pulse.Pulse) { p.Begin("load", 8*time.Second) }, "5s READY=1, 5s WATCHDOG=1, 15s STATUS=no progress in load for 10s, 20s STOPPING=1"},
		"no end":    {func(*pulse.Pulse) {}, "20s STOPPING=1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, by := &pulse.Pulse{}, &heard{started: time.Now()}
				p.Begin(pulse.Look, time.Hour)
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() { p.Supervise(ctx, by, slog.New(slog.DiscardHandler)); close(ended) }()
				time.Sleep(5 * time.Second)
				test.first(p)
				time.Sleep(15 * time.Second)
				cancel()
				<-ended
				if got := strings.Join(by.states, ", "); got != test.want {
					t.Errorf("heard %s, want %s", got, test.want)
				}
			})
		})
	}
}
