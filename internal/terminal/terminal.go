package terminal

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/term"
)

// Size gives the columns and rows of a terminal; false if the file is not a terminal, or does not
// know its size.
func Size(file *os.File) (width, height int, known bool) {
	width, height, err := term.GetSize(int(file.Fd())) //nolint:gosec // a file descriptor fits
	return width, height, err == nil && width > 0 && height > 0
}

// The controls of a terminal that the screen uses.
const (
	alternate = "\x1b[?1049h\x1b[?25l\x1b[2J" // the alternate screen, without a cursor
	normal    = "\x1b[?25h\x1b[?1049l"
	rest      = "\x1b[K" // erase the rest of the line
)

// Screen is a whole terminal: its alternate screen, and its keys.
type Screen struct {
	Keys    <-chan Key      // closed when there is no more input
	Resized <-chan struct{} // the size has changed

	in, out *os.File
	mu      sync.Mutex // of what is written
	closed  bool
	shown   []string // the lines on the terminal; nil: not known
	size    [2]int   // for which they were drawn
	restore func()
	stop    func()
}

// Open takes a terminal over. Close gives it back. In may be nil: then there are no keys.
func Open(in, out *os.File) (*Screen, error) {
	keys, resized, signals := make(chan Key), make(chan struct{}, 1), make(chan os.Signal, 1)
	s := &Screen{Keys: keys, Resized: resized, in: in, out: out, restore: func() {}}
	done := make(chan struct{})
	if in != nil {
		before, err := term.MakeRaw(int(in.Fd())) //nolint:gosec // a file descriptor fits
		if err != nil {
			return nil, fmt.Errorf("read single keys: %w", err)
		}
		s.restore = func() { _ = term.Restore(int(in.Fd()), before) } //nolint:gosec // see above
		go readKeys(in, keys, done)
	}
	signal.Notify(signals, syscall.SIGWINCH, syscall.SIGCONT)
	go func() {
		for {
			select {
			case <-done:
				return
			case <-signals:
				select {
				case resized <- struct{}{}:
				default:
				}
			}
		}
	}()
	s.stop = sync.OnceFunc(func() {
		signal.Stop(signals)
		close(done)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.closed = true
		_, _ = io.WriteString(out, normal)
		s.restore()
	})
	if _, err := io.WriteString(out, alternate); err != nil {
		s.stop()
		return nil, fmt.Errorf("use the terminal: %w", err)
	}
	return s, nil
}

// Close gives the terminal back as it was. It may be called more than once.
func (s *Screen) Close() { s.stop() }

// Size gives the columns and rows.
func (s *Screen) Size() (width, height int) {
	width, height, known := Size(s.out)
	if !known {
		return 80, 24
	}
	return width, height
}

// Forget has the next Draw write every line, because the terminal has lost what it showed.
func (s *Screen) Forget() { s.shown = nil }

// Draw shows lines from the top of the terminal on. It writes the lines that differ from those
// shown. Lines have at most the terminal's columns, and there are at most as many as its rows.
// After Close, which another goroutine may call, it writes nothing.
func (s *Screen) Draw(lines []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	width, height := s.Size()
	if s.size != [2]int{width, height} {
		s.shown, s.size = nil, [2]int{width, height}
	}
	var out strings.Builder
	if s.shown == nil {
		out.WriteString("\x1b[2J")
	}
	for i := range min(max(len(lines), len(s.shown)), height) {
		line := ""
		if i < len(lines) {
			line = Cut(lines[i], width)
		}
		if i < len(s.shown) && s.shown[i] == line || i >= len(s.shown) && line == "" {
			continue
		}
		fmt.Fprintf(&out, "\x1b[%d;1H%s", i+1, line)
		if Width(line) < width {
			out.WriteString(rest)
		}
	}
	s.shown = make([]string, 0, len(lines))
	for _, line := range lines {
		s.shown = append(s.shown, Cut(line, width))
	}
	if out.Len() == 0 {
		return nil
	}
	if _, err := io.WriteString(s.out, out.String()); err != nil {
		return fmt.Errorf("draw: %w", err)
	}
	return nil
}
