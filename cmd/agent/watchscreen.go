package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/internal/terminal"
)

// reading is an answer about the status.
type reading struct {
	status report.Status
	err    error
}

// viewer shows the status on the whole terminal.
type viewer struct {
	screen *terminal.Screen
	colour bool
	all    bool

	last   reading
	offset int // lines above the terminal
}

// watchOnScreen shows the status on the terminal until the user or ctx ends it. The terminal is
// as before then, whatever ends it: also the signals that otherwise end a process at once.
func watchOnScreen(ctx context.Context, a *app, out *os.File, all bool) error {
	first, err := readStatus(ctx, a)
	if err != nil {
		return err
	}
	var in *os.File
	if isTerminal(os.Stdin) {
		in = os.Stdin
	}
	screen, err := terminal.Open(in, out)
	if err != nil {
		return err
	}
	defer screen.Close()
	ctx, cancel := signal.NotifyContext(ctx, syscall.SIGHUP, syscall.SIGQUIT)
	defer cancel()
	v := &viewer{screen: screen, colour: newPrinter(out).colour, all: all, last: reading{status: first}}
	return v.run(ctx, readings(ctx, a, screen))
}

// readings reads the status again and again. What it reads is not waited for, so that keys work
// while an agent does not answer.
func readings(ctx context.Context, a *app, screen *terminal.Screen) <-chan reading {
	all := make(chan reading)
	go func() {
		defer screen.Close() // a panic here, too, leaves the terminal as it was
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(watchPeriod):
			}
			status, err := readStatus(ctx, a)
			select {
			case <-ctx.Done():
				return
			case all <- reading{status, err}:
			}
		}
	}()
	return all
}

func (v *viewer) run(ctx context.Context, readings <-chan reading) error {
	second := time.NewTicker(time.Second) // the times go on
	defer second.Stop()
	keys := v.screen.Keys
	for {
		if err := v.draw(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case got := <-readings:
			if v.last.err = got.err; got.err == nil {
				v.last.status = got.status
			}
		case <-second.C:
		case <-v.screen.Resized:
			v.screen.Forget()
		case key, more := <-keys:
			if !more {
				keys = nil // the input has ended; signals end the command
				continue
			}
			if key == terminal.Quit {
				return nil
			}
			v.press(key)
		}
	}
}

// press moves what is shown. draw keeps it within the text.
func (v *viewer) press(key terminal.Key) {
	_, height := v.screen.Size()
	page := max(1, height-2)
	switch key {
	case terminal.Up:
		v.offset--
	case terminal.Down:
		v.offset++
	case terminal.PageUp:
		v.offset -= page
	case terminal.PageDown:
		v.offset += page
	case terminal.Top:
		v.offset = 0
	case terminal.Bottom:
		v.offset = 1 << 20
	case terminal.Redraw:
		v.screen.Forget()
	case terminal.Quit:
	}
}

// draw shows the part of the text that the user has scrolled to, and below it which part that is.
func (v *viewer) draw() error {
	width, height := v.screen.Size()
	lines := v.lines(width, height)
	room := max(1, height-1)
	v.offset = max(0, min(v.offset, len(lines)-room))
	shown := lines[v.offset:min(len(lines), v.offset+room)]
	frame := append(make([]string, 0, height), shown...)
	for len(frame) < room {
		frame = append(frame, "")
	}
	foot := "q quits"
	if len(lines) > room {
		foot = fmt.Sprintf("lines %d-%d of %d  arrows and space scroll, q quits", v.offset+1, v.offset+len(shown), len(lines))
	}
	p := printer{colour: v.colour}
	return v.screen.Draw(append(frame, string(p.paint(dim, foot))))
}

// lines gives the text for a terminal of a size. While the agent does not answer, the last answer
// stays, and says so.
func (v *viewer) lines(width, height int) []string {
	s := &page{p: printer{Writer: io.Discard, colour: v.colour, width: width, height: height}}
	if err := v.last.err; err != nil {
		text := err.Error()
		if errors.Is(err, control.ErrNotRunning) {
			text = "the agent does not answer: " + text
		}
		s.line(s.red("agent: error: "+text), "; shown is its last answer")
		s.line()
	}
	statusScreen(s, statusView{v.last.status, v.all})
	return s.lines()
}
