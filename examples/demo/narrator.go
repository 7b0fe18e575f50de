package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/mattn/go-isatty"
)

// patience is the longest time without output during a wait.
const patience = 2 * time.Second

// narrator prints the demo's output, with colour on a terminal.
type narrator struct {
	out    io.Writer
	colour bool
	steps  int
	step   time.Time // start of the current step
	times  [][]string
	title  string
	begun  time.Time
}

func newNarrator(out io.Writer) *narrator {
	file, ok := out.(*os.File)
	return &narrator{
		out: out, begun: time.Now(),
		colour: ok && isatty.IsTerminal(file.Fd()) && os.Getenv("NO_COLOR") == "",
	}
}

// The styles, as ANSI codes.
const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
	blue  = "1;34"
)

func (n *narrator) paint(style, text string) string {
	if !n.colour {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

func (n *narrator) line(format string, args ...any) { fmt.Fprintf(n.out, format+"\n", args...) }

// begin starts a numbered step.
func (n *narrator) begin(title string) {
	n.end()
	n.steps++
	n.title, n.step = title, time.Now()
	n.line("\n%s\n", n.paint(blue, fmt.Sprintf("%d. %s", n.steps, title)))
}

// end records the duration of the current step.
func (n *narrator) end() {
	if n.title != "" {
		n.note(n.title, time.Since(n.step))
	}
	n.title = ""
}

// note records a duration for the summary.
func (n *narrator) note(what string, took time.Duration) {
	n.times = append(n.times, []string{what, seconds(took)})
}

// command prints a command that is about to run.
func (n *narrator) command(text string) { n.line("\n%s", n.paint(bold, "$ "+text)) }

// progress prints one line about a wait.
func (n *narrator) progress(since time.Time, text string) {
	n.line("%s", n.paint(dim, fmt.Sprintf("  %6s  %s", seconds(time.Since(since)), text)))
}

func (n *narrator) failure(err error) { n.line("%s %v", n.paint(red, "demo: error:"), err) }

// table writes rows in columns.
func (n *narrator) table(rows [][]string) {
	w := tabwriter.NewWriter(n.out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, "  "+strings.Join(row, "\t"))
	}
	_ = w.Flush()
}

// during runs do and prints progress until it ends. The text long explains a long
// wait.
func (n *narrator) during(ctx context.Context, text, long string, do func(context.Context) error) error {
	started := time.Now()
	n.progress(started, text)
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	tick := time.NewTicker(patience)
	defer tick.Stop()
	for ticks := 1; ; ticks++ {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			if ticks != 3 || long == "" {
				n.progress(started, "…")
			} else {
				n.progress(started, "… "+long)
			}
		}
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }
