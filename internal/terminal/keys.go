package terminal

import (
	"bytes"
	"io"
)

// Key is what a user pressed.
type Key string

// The keys that a screen knows.
const (
	Quit     Key = "quit" // q, Ctrl-C, Ctrl-D
	Up       Key = "up"
	Down     Key = "down"
	PageUp   Key = "page up"
	PageDown Key = "page down"
	Top      Key = "top"
	Bottom   Key = "bottom"
	Redraw   Key = "redraw" // Ctrl-L
)

// sequences are the bytes that terminals send for keys.
var sequences = []struct {
	bytes string
	key   Key
}{
	{"\x1b[5~", PageUp},
	{"\x1b[6~", PageDown},
	{"\x1b[1~", Top},
	{"\x1b[4~", Bottom},
	{"\x1b[A", Up},
	{"\x1bOA", Up},
	{"\x1b[B", Down},
	{"\x1bOB", Down},
	{"\x1b[H", Top},
	{"\x1bOH", Top},
	{"\x1b[F", Bottom},
	{"\x1bOF", Bottom},
	{"q", Quit},
	{"Q", Quit},
	{"\x03", Quit},
	{"\x04", Quit},
	{"k", Up},
	{"j", Down},
	{"b", PageUp},
	{" ", PageDown},
	{"g", Top},
	{"G", Bottom},
	{"\x0c", Redraw},
}

// Parse gives the keys of what a terminal sent, and the start of a sequence whose end has not
// arrived yet. A slow connection divides sequences, so Esc alone is not a key.
func Parse(input []byte) (keys []Key, left []byte) {
next:
	for len(input) > 0 {
		for _, one := range sequences {
			if bytes.HasPrefix(input, []byte(one.bytes)) {
				keys, input = append(keys, one.key), input[len(one.bytes):]
				continue next
			}
		}
		size := 1
		if input[0] == '\x1b' {
			if size = unknown(input); size == 0 {
				return keys, input
			}
		}
		input = input[size:]
	}
	return keys, nil
}

// unknown gives the length of the sequence at the start of the input; 0 if its end is missing.
// Sequences begin with Esc and [ or O and have no controls: before anything else, a user has
// pressed Esc, and what follows is a key of its own.
func unknown(input []byte) int {
	const longest = 16
	for i := 1; i < len(input) && i < longest; i++ {
		switch introduces := i == 1 && (input[i] == '[' || input[i] == 'O'); {
		case introduces:
		case i == 1, input[i] < ' ':
			return i
		case input[i] >= '@' && input[i] <= '~':
			return i + 1
		}
	}
	if len(input) >= longest {
		return longest
	}
	return 0
}

// readKeys sends keys until the input or the screen ends.
func readKeys(in io.Reader, keys chan<- Key, done <-chan struct{}) {
	defer close(keys)
	buffer, left := make([]byte, 256), 0
	for {
		n, err := in.Read(buffer[left:])
		pressed, rest := Parse(buffer[:left+n])
		left = copy(buffer, rest)
		for _, key := range pressed {
			select {
			case keys <- key:
			case <-done:
				return
			}
		}
		if err != nil {
			return
		}
	}
}
