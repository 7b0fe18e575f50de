// Package visible makes a text harmless for terminals and readers: from any text it makes
// one in which control characters, terminal escapes, marks of writing direction and other
// invisible characters are written as escapes such as \x1b and \u202e. It guarantees that
// each character of the result is printed as itself.
package visible

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line makes one line of a text: line breaks and tabs become visible, too. A text that is
// already printable is returned as it is, and so is a result of Line.
func Line(text string) string {
	if isPlain(text) {
		return text
	}
	var b strings.Builder
	for rest := text; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, rest[0])
		case hidden(r):
			b.WriteString(escaped(r))
		default:
			b.WriteString(rest[:size])
		}
		rest = rest[size:]
	}
	return b.String()
}

// Lines keeps the line breaks of a text. Each further line begins with the indent, so that
// it cannot be taken for a line of the caller's own.
func Lines(text, indent string) string {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i := range lines {
		lines[i] = Line(strings.ReplaceAll(lines[i], "\t", "    "))
	}
	return strings.Join(lines, "\n"+indent)
}

// JSON writes the characters of a JSON text that Line would escape as JSON escapes. The
// result has the same value.
func JSON(text []byte) []byte {
	if isPlain(string(text)) {
		return text
	}
	out := make([]byte, 0, len(text)+64)
	for rest := text; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r < ' ', !hidden(r): // encoding/json escapes those in strings; here they are white space
			out = append(out, rest[:size]...)
		case r > 0xffff:
			high, low := surrogates(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		rest = rest[size:]
	}
	return out
}

func surrogates(r rune) (high, low rune) {
	r -= 0x10000
	return 0xd800 + r>>10, 0xdc00 + r&0x3ff
}

// isPlain reports whether a text is printable ASCII, as almost all are.
func isPlain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// hidden reports whether a character is not printed as itself.
func hidden(r rune) bool {
	const emojiStyle, brailleBlank = '\ufe0f', '\u2800'
	switch {
	case r <= '~':
		return r < ' '
	case r == emojiStyle:
		return false
	case !unicode.IsPrint(r), r == brailleBlank:
		return true
	}
	return unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

func escaped(r rune) string {
	switch {
	case r == '\n':
		return `\n`
	case r == '\r':
		return `\r`
	case r == '\t':
		return `\t`
	case r <= 0x7f:
		return fmt.Sprintf(`\x%02x`, r)
	case r > 0xffff:
		return fmt.Sprintf(`\U%08x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}
