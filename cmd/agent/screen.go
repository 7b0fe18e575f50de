package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"coin.internal/coin-agent/internal/terminal"
)

// screen shows text on a terminal and replaces it with the next text.
type screen struct {
	io.Writer
	size func() (width, height int)

	drawn int // number of lines on the terminal
}

// newScreen gives the screen of the terminal w; nil if w is not a terminal.
func newScreen(w io.Writer) *screen {
	file, ok := w.(*os.File)
	if !ok || !isTerminal(file) {
		return nil
	}
	return &screen{Writer: w, size: func() (int, int) {
		width, height, known := terminal.Size(file)
		if !known {
			return 80, 24
		}
		return width, height
	}}
}

// draw replaces the text that was drawn before. It cuts lines to the terminal's width
// and omits lines that exceed its height: otherwise the terminal would scroll.
func (s *screen) draw(text string) {
	width, height := s.size()
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if room := max(height-1, 2); len(lines) > room {
		lines = append(lines[:room-1], fmt.Sprintf("… %d more lines", len(lines)-room+1))
	}
	var out strings.Builder
	if s.drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", s.drawn)
	}
	out.WriteString("\r\x1b[J")
	for _, line := range lines {
		out.WriteString(terminal.Cut(line, width) + "\n")
	}
	s.drawn = len(lines)
	_, _ = io.WriteString(s.Writer, out.String())
}

// keep leaves the drawn text on the terminal; the next draw starts below it.
func (s *screen) keep() { s.drawn = 0 }
