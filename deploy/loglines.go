package deploy

import (
	"bytes"
	"strings"
	"time"

	"coin.internal/coin-agent/internal/visible"
)

const (
	// readBytes is how much of a line is read: masked first, so that no secret is cut, and
	// cut then.
	readBytes = 64 << 10
	// chunkBytes is how much of a line the engine keeps together: with a longer one it sends a
	// time before each further part (moby's daemon/logger/copier.go).
	chunkBytes = 16 << 10
	// shownBytes is how much of a line is shown.
	shownBytes = 4 << 10
	// keyLines bounds the lines of a private key.
	keyLines = 200
)

// lineWriter makes lines of what a task prints to one stream.
type lineWriter struct {
	masks *Masks
	line  LogLine // what the lines share
	each  func(LogLine)

	text []byte // of the line that has begun
	key  int    // how many lines of a private key may follow
	went bool   // a line was read: the first one may be the rest of a longer one
}

func (w *lineWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		part, after, ended := bytes.Cut(rest, []byte("\n"))
		w.text = append(w.text, part[:min(len(part), readBytes-len(w.text))]...)
		if ended {
			w.flush()
		}
		rest = after
	}
	return len(p), nil
}

// end gives the rest as a line.
func (w *lineWriter) end() {
	if len(w.text) > 0 {
		w.flush()
	}
}

func (w *lineWriter) flush() {
	cut := len(w.text) == readBytes
	stamp, text, _ := strings.Cut(string(w.text), " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		text = string(w.text)
	}
	w.text, text = w.text[:0], whole(text)
	line := w.line
	line.At, line.Text = at, shownLine(w.mask(strings.TrimSuffix(text, "\r"), cut))
	w.each(line)
}

// mask hides the secrets in a line, of which the end may be cut off, and what looks like one. The lines of a private key are
// hidden to its end.
func (w *lineWriter) mask(text string, cut bool) string {
	begins := strings.Contains(text, "-----BEGIN ") && strings.Contains(text, "PRIVATE KEY")
	ends := strings.Contains(text, "-----END ")
	if !begins && w.key > 0 {
		w.key--
		if ends {
			w.key = 0
		}
		return Hidden
	}
	if begins && !ends {
		w.key = keyLines
	}
	first := !w.went
	w.went = true
	return w.masks.Part(text, first, cut)
}

// whole takes the times out of a line that the engine has sent in parts.
func whole(text string) string {
	for from := chunkBytes; from < len(text); from += chunkBytes {
		stamp, rest, found := strings.Cut(text[from:], " ")
		if _, err := time.Parse(time.RFC3339Nano, stamp); !found || err != nil {
			return text
		}
		text = text[:from] + rest
	}
	return text
}

// shownLine makes a text one visible line of bounded length.
func shownLine(text string) string {
	text = visible.Line(strings.ReplaceAll(text, "\t", "    "))
	if len(text) <= shownBytes {
		return text
	}
	return strings.ToValidUTF8(text[:shownBytes], "") + "…"
}
