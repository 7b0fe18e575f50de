package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/internal/terminal"
)

// page is the text of a screen. Its lines begin with their line breaks, so that a line that
// does not apply leaves nothing behind. All values are printed through shown. Screens are
// functions and not templates: text/template finds methods by their names, and the linker then
// keeps every exported method of every library.
type page struct {
	p    printer
	text strings.Builder
}

// printPage writes a screen about data.
func printPage[T any](p printer, screen func(*page, T), data T) error {
	s := &page{p: p}
	screen(s, data)
	if s.text.Len() == 0 {
		return nil
	}
	if _, err := io.WriteString(p, strings.Join(s.lines(), "\n")+"\n"); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// lines gives the lines of the page, wrapped where the output has a width.
func (s *page) lines() []string {
	lines := strings.Split(strings.TrimPrefix(s.text.String(), "\n"), "\n")
	if s.p.width == 0 {
		return lines
	}
	wrapped := make([]string, 0, len(lines))
	for _, line := range lines {
		wrapped = append(wrapped, terminal.Wrap(line, s.p.width)...)
	}
	return wrapped
}

// put adds values to the last line.
func (s *page) put(values ...any) { s.text.WriteString(string(joinShown(values...))) }

// line begins a line with values.
func (s *page) line(values ...any) {
	s.text.WriteByte('\n')
	s.put(values...)
}

// fact adds a line with a name before its text.
func (s *page) fact(name any, format string, args ...any) {
	s.put(markup(fmt.Sprintf("\n  %-9s %s", shown(name), tidy(fmt.Sprintf(format, args...)))))
}

// indented begins a line below the text of a fact.
func (s *page) indented(values ...any) { s.line("            ", joinShown(values...)) }

// hint adds the hint of the line above, if there is one.
func (s *page) hint(text string) {
	if text != "" {
		s.indented("hint: ", text)
	}
}

func (s *page) red(text string) markup    { return s.p.paint(red, text) }
func (s *page) green(text string) markup  { return s.p.paint(green, text) }
func (s *page) yellow(text string) markup { return s.p.paint(yellow, text) }
func (s *page) dim(text string) markup    { return s.p.paint(dim, text) }

// after gives a text with another before it; "" if the text is empty.
func after(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

// tidy makes one printable line of a text.
func tidy(text string) string { return printable(strings.Join(strings.Fields(text), " ")) }

// took says how long something took; "" if it is not over.
func took(from, to time.Time) string {
	if to.IsZero() {
		return ""
	}
	return to.Sub(from).Round(100 * time.Millisecond).String()
}

func clock(at time.Time) string  { return gates.Clock(at.Local(), time.Now()) }
func day(at time.Time) string    { return at.Local().Format(time.DateOnly) }
func local(at time.Time) string  { return at.Local().Format(time.DateTime) }
func minute(at time.Time) string { return at.Local().Format("2006-01-02 15:04") }
func since(at time.Time) string  { return roughly(time.Since(at)) }
func until(at time.Time) string  { return roughly(time.Until(at)) }

// between gives the time from one moment to another.
func between(from, to time.Time) string { return roughly(to.Sub(from)) }

// checksText gives the check results of a sync in one text; "" if it had no checks.
func checksText(sync *record.Sync) string {
	var results []checks.Result
	if len(sync.Checks) == 0 || json.Unmarshal(sync.Checks, &results) != nil {
		return ""
	}
	return checks.Summary(results)
}
