// Package oneline prepares texts from other systems for messages: from any text it makes
// one printable line. It guarantees that a text cannot add lines or control characters to
// a message.
package oneline

import (
	"strings"
	"unicode/utf8"

	"coin.internal/coin-agent/internal/visible"
)

// Join replaces white space by single spaces, and makes other characters visible that would
// not be printed as themselves.
func Join(text string) string {
	return visible.Line(strings.Join(strings.Fields(text), " "))
}

// Cut joins a text and cuts it to at most limit characters. The last character of a cut
// text is an ellipsis.
func Cut(text string, limit int) string {
	text = Join(text)
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return strings.TrimRight(string([]rune(text)[:limit-1]), " ") + "…"
}
