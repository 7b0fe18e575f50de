package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-isatty"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/internal/terminal"
	"coin.internal/coin-agent/internal/visible"
)

// printer writes text for users: with colour and as wide as the terminal is, plain in a pipe.
type printer struct {
	io.Writer
	colour bool
	width  int // columns; 0: as wide as the text is
	height int // rows; 0: any number
}

func newPrinter(w io.Writer) printer {
	p := printer{Writer: w}
	if file, ok := w.(*os.File); ok && isTerminal(w) {
		p.width, p.height, _ = terminal.Size(file)
		p.colour = os.Getenv("NO_COLOR") == ""
	}
	return p
}

// isTerminal reports whether a command reads from or writes to a terminal.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}

// The colours, as ANSI codes.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	dim    = "2"
)

// paint gives a text in a colour; "" is the colour of the terminal.
func (p printer) paint(colour, text string) markup {
	safe := shown(text)
	if !p.colour || colour == "" || text == "" {
		return safe
	}
	return "\x1b[" + markup(colour) + "m" + safe + "\x1b[0m"
}

func (p printer) line(format string, args ...any) {
	fmt.Fprintln(p, visible.Line(fmt.Sprintf(format, args...)))
}

// printable makes visible what controls a terminal, and blanks of tabs. Log lines, and names
// and subjects in git, are not trusted.
func printable(text string) string { return visible.Line(strings.ReplaceAll(text, "\t", "    ")) }

// printScreen prints a result as JSON if that is the requested output, else as its screen.
func printScreen[T any](w io.Writer, output string, screen func(*page, T), result T) error {
	if output == "json" {
		return printJSON(w, result)
	}
	return printPage(newPrinter(w), screen, result)
}

// differentIf gives the error of printing a result, else errDifferent if the result shows
// differences or problems.
func differentIf(different bool, err error) error {
	if err == nil && different {
		return errDifferent
	}
	return err
}

// joinedJSON writes two structs as one object, the keys of the first one first. Neither is empty.
func joinedJSON(first, second any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := errors.Join(encoder.Encode(first), encoder.Encode(second))
	return bytes.Replace(text.Bytes(), []byte("}\n{"), []byte(","), 1), err
}

func printJSON(w io.Writer, value any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	if err == nil {
		_, err = jsonWriter{w}.Write(text.Bytes())
	}
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// jsonLine gives a value as JSON in one line, in which what controls a terminal is escaped.
func jsonLine(value any) (string, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("print: %w", err)
	}
	return string(visible.JSON(data)), nil
}

func printJSONLine(w io.Writer, value any) error {
	line, err := jsonLine(value)
	if err == nil {
		_, err = fmt.Fprintln(w, line)
	}
	return err
}

// jsonWriter writes whole JSON texts, in which what controls a terminal is escaped: Go's
// encoder leaves marks of writing direction and the controls from U+007F on as they are.
type jsonWriter struct{ io.Writer }

func (w jsonWriter) Write(text []byte) (int, error) {
	if _, err := w.Writer.Write(visible.JSON(text)); err != nil {
		return 0, err
	}
	return len(text), nil
}

// zoned gives a time in this machine's zone, which is written out.
func zoned(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 -07:00") }

// ago gives the approximate time since t.
func ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return roughly(time.Since(t)) + " ago"
}

func roughly(d time.Duration) string { return report.Roughly(d) }

func short(commit string) string { return record.Short(commit) }

func orDash(text string) string { return cmp.Or(text, "-") }

// joined joins the texts that are not empty.
func joined(separator string, texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(text string) bool { return text == "" }), separator)
}
