package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/internal/visible"
)

// follower shows the progress of a sync, with a line for each step. On a terminal it
// redraws the services that are not ready in one place. Elsewhere it prints a line for
// each service that changes.
type follower struct {
	out    printer
	screen *screen // nil if the output is not a terminal
	stop   chan struct{}

	mu      sync.Mutex
	rollout *report.Rollout
	changes changes
}

// followed has an agent start a sync, and shows the progress of the sync until it ends.
func followed(a *app, start func(progress func(control.Event)) (*record.Sync, error)) (*record.Sync, error) {
	follower := newFollower(a.stderr)
	defer follower.close()
	return start(follower.note)
}

func newFollower(w io.Writer) *follower {
	f := &follower{out: newPrinter(w), screen: newScreen(w), stop: make(chan struct{}), changes: changes{w, map[string]string{}}}
	if f.screen != nil {
		go f.tick()
	}
	return f
}

// tick redraws the terminal every second, so that the times are current.
func (f *follower) tick() {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-f.stop:
			return
		case <-ticker.C:
			f.mu.Lock()
			f.redraw()
			f.mu.Unlock()
		}
	}
}

// close stops the redrawing. The last text stays on the terminal.
func (f *follower) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rollout = nil
	close(f.stop)
}

func (f *follower) note(event control.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rollout = event.Rollout
	switch {
	case f.rollout == nil:
		if f.screen != nil {
			f.screen.keep()
		}
		f.out.line("%s", event.Progress)
	case f.screen != nil:
		f.redraw()
	default:
		_ = f.changes.print(roughly(time.Since(f.rollout.Started))+"  ", rolloutLines(f.rollout))
	}
}

func (f *follower) redraw() {
	if f.rollout == nil {
		return
	}
	var text strings.Builder
	if printPage(printer{Writer: &text, colour: f.out.colour, width: f.width()}, rolloutScreen, rolloutView{rollout: f.rollout}) == nil {
		f.screen.draw(text.String())
	}
}

// width gives the columns of the terminal, which may have changed.
func (f *follower) width() int {
	width, _ := f.screen.size()
	return width
}

// changes prints lines about things, each when it differs from the last one about its thing.
type changes struct {
	out   io.Writer
	shown map[string]string // the last line, by what it is about
}

// print prints the lines that have changed, sorted by what they are about.
func (c changes) print(before string, lines map[string]string) error {
	for _, about := range slices.Sorted(maps.Keys(lines)) {
		line := lines[about]
		if c.shown[about] == line {
			continue
		}
		c.shown[about] = line
		if _, err := fmt.Fprintln(c.out, before+visible.Line(line)); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return nil
}

// printJSON prints a value as a line of JSON if it differs from the one before.
func (c changes) printJSON(value any) error {
	line, err := jsonLine(value)
	if err != nil {
		return err
	}
	return c.print("", map[string]string{"": line})
}

// rolloutLines gives the state of each service of a rollout in a line, by service name.
func rolloutLines(rollout *report.Rollout) map[string]string {
	lines := map[string]string{}
	for _, service := range rollout.Services {
		line := fmt.Sprintf("%s %d/%d %s", service.Name, service.Ready, service.Want, service.State)
		if text := printable(report.Message(service)); text != "" {
			line += ": " + text
		}
		lines[service.Name] = line
	}
	return lines
}
