package terminal_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"coin.internal/coin-agent/internal/terminal"
)

const panicVariable = "TERMINAL_TEST_PANIC"

func TestMain(m *testing.M) {
	if os.Getenv(panicVariable) != "" {
		screen, err := terminal.Open(os.Stdin, os.Stdout)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		defer screen.Close()
		panic("as a test")
	}
	os.Exit(m.Run())
}

// pty gives both ends of a new terminal.
func pty(t *testing.T) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(user.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 5, Col: 20}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = user.Close(), program.Close() })
	return user, program
}

func modes(t *testing.T, of *os.File) unix.Termios {
	t.Helper()
	mode, err := unix.IoctlGetTermios(int(of.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *mode
}

// TestPanicRestores has a program panic while it has the whole terminal.
func TestPanicRestores(t *testing.T) {
	user, program := pty(t)
	before := modes(t, program)
	crash := exec.Command(os.Args[0])
	crash.Env = append(os.Environ(), panicVariable+"=1")
	crash.Stdin, crash.Stdout = program, program
	var errors bytes.Buffer
	crash.Stderr = &errors
	if err := crash.Run(); err == nil || !strings.Contains(errors.String(), "as a test") {
		t.Fatalf("%v: %s", err, &errors)
	}
	if after := modes(t, program); after != before {
		t.Errorf("the modes were %+v and are %+v", before, after)
	}
	const end = "\x1b[?25h\x1b[?1049l"
	if text := readFrom(t, user, end); !strings.HasPrefix(text, "\x1b[?1049h\x1b[?25l") || !strings.HasSuffix(text, end) {
		t.Errorf("it wrote %q", text)
	}
}

// readFrom reads what a program wrote, up to an end.
func readFrom(t *testing.T, user *os.File, end string) string {
	t.Helper()
	var text strings.Builder
	buffer := make([]byte, 1024)
	for !strings.HasSuffix(text.String(), end) {
		n, err := user.Read(buffer)
		if err != nil && err != io.EOF {
			t.Fatalf("%v after %q", err, text.String())
		}
		text.Write(buffer[:n])
	}
	return text.String()
}

// TestDrawWritesWhatDiffers draws frames. What is equal is not written again; after a resize
// everything is.
func TestDrawWritesWhatDiffers(t *testing.T) {
	user, program := pty(t)
	before := modes(t, program)
	screen, err := terminal.Open(program, program)
	if err != nil {
		t.Fatal(err)
	}
	draw := func(end string, lines ...string) string {
		if err := screen.Draw(lines); err != nil {
			t.Fatal(err)
		}
		return readFrom(t, user, end)
	}
	draw("b\x1b[K", "a", "b")
	if got := draw("c\x1b[K", "a", "c"); got != "\x1b[2;1Hc\x1b[K" {
		t.Errorf("one line differs: %q", got)
	}
	if err := screen.Draw([]string{"a", "c"}); err != nil { // writes nothing
		t.Fatal(err)
	}
	if got := draw("\x1b[2;1H\x1b[K", "a"); got != "\x1b[2;1H\x1b[K" {
		t.Errorf("one line less: %q", got)
	}
	if err := unix.IoctlSetWinsize(int(user.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 3, Col: 4}); err != nil {
		t.Fatal(err)
	}
	if got := draw("lon…", "long text"); got != "\x1b[2J\x1b[1;1Hlon…" {
		t.Errorf("after a resize: %q", got)
	}
	if _, err := user.WriteString("jq"); err != nil {
		t.Fatal(err)
	}
	if first, second := <-screen.Keys, <-screen.Keys; first != terminal.Down || second != terminal.Quit {
		t.Errorf("keys: %s, %s", first, second)
	}
	screen.Close()
	screen.Close()
	if err := screen.Draw([]string{"late"}); err != nil {
		t.Fatal(err)
	}
	if _, err := program.WriteString("shell"); err != nil {
		t.Fatal(err)
	}
	if got := readFrom(t, user, "shell"); !strings.HasSuffix(got, "\x1b[?25h\x1b[?1049lshell") {
		t.Errorf("after the screen was closed: %q", got)
	}
	if after := modes(t, program); after != before {
		t.Errorf("the modes were %+v and are %+v", before, after)
	}
}
