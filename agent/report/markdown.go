package report

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// item gives a line of a list of facts; "" if the text is empty.
func item(name, text any) string {
	if fmt.Sprint(text) == "" {
		return ""
	}
	return fmt.Sprintf("- **%s**: %s\n", name, escape(text))
}

// code gives lines as a code block, with a fence that none of them can close.
func code(lines []string) string {
	fence := "```"
	for _, line := range lines {
		for strings.Contains(line, fence) {
			fence += "`"
		}
	}
	var b strings.Builder
	b.WriteString(fence + "\n")
	for _, line := range lines {
		b.WriteString(strings.TrimRight(controlFree(line), " ") + "\n")
	}
	b.WriteString(fence + "\n")
	return b.String()
}

// sentence gives a text with a capital letter at its beginning and a full stop at its end.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return strings.TrimRight(string(unicode.ToUpper(first))+text[size:], ".") + "."
}

// escape makes one line of a text and escapes links, tags and cell borders.
func escape(text any) string {
	line := strings.Join(strings.FieldsFunc(controlFree(fmt.Sprint(text)), unicode.IsSpace), " ")
	return strings.NewReplacer(`\`, `\\`, "<", `\<`, "[", `\[`, "|", `\|`).Replace(line)
}

// controlFree removes control characters and replaces each line break with a space.
func controlFree(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t' || r == '\u2028' || r == '\u2029':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, text)
}

// stamp formats a time for reports.
func stamp(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05 UTC") }
