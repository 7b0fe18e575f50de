// Package oneline prepares texts from other systems for messages: from any text it makes
// one printable line. It guarantees that a text cannot add lines or control characters to
// a message.
package oneline

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Join replaces white space and control characters by single spaces, and invalid UTF-8 by
// the replacement character.
func Join(text string) string {
	words := strings.FieldsFunc(strings.ToValidUTF8(text, "\uFFFD"), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
	return strings.Join(words, " ")
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
