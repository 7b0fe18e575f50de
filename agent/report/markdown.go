package report

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"coin.internal/coin-agent/internal/lazyregexp"
	"coin.internal/coin-agent/internal/oneline"
	"coin.internal/coin-agent/internal/visible"
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
		b.WriteString(strings.TrimRight(visible.Lines(line, "    "), " ") + "\n")
	}
	b.WriteString(fence + "\n")
	return b.String()
}

// sentence gives a text with a capital letter at its beginning and a full stop at its end.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return strings.TrimRight(string(unicode.ToUpper(first))+text[size:], ".") + "."
}

// What Markdown makes of a text: escapes, tags, links, cell borders, emphasis and GitLab's
// references (#12, !12, ~label, %milestone, $12); and at its beginning headings and lists.
var (
	special = lazyregexp.New(`[\\<\[|&*~]|[#!%$^][\pL\pN"{]`)
	opening = lazyregexp.New(`^([#>+=-])|^([0-9]+)([.)] )`)
	// address matches mentions and addresses: no escape keeps GitLab from linking them.
	address = lazyregexp.New(`(?i)@|://|www\.|\b(mailto|xmpp):`)
)

// escape makes one line of a text in which nothing is live: no tag, link, mention, reference
// or cell border. Backticks stay, because hints quote commands with them.
func escape(text any) string {
	line := oneline.Join(fmt.Sprint(text))
	if address().MatchString(line) {
		return Span(line)
	}
	line = special().ReplaceAllString(line, `\$0`)
	return opening().ReplaceAllString(line, `$2\$1$3`)
}

// escaped is what escape makes of a character.
var escaped = lazyregexp.New(`\\([\\<\[|&*~#!%$^>+=.)\-\] ])`)

// Unescaped gives a text in Markdown as a reader sees it who does not have it rendered.
func Unescaped(text string) string { return escaped().ReplaceAllString(text, "$1") }

// Escape makes one line of a text for Markdown of others, a cell of a table included: nothing in
// it is live.
func Escape(text any) string { return cell(text) }

// cell is escape for a cell of a table. A code span in it cannot escape a border.
func cell(text any) string {
	if line := oneline.Join(fmt.Sprint(text)); address().MatchString(line) {
		return Span(strings.ReplaceAll(line, "|", `\x7c`))
	}
	return escape(text)
}

// Span gives one line as code, between fences that it cannot close.
func Span(text any) string {
	line := oneline.Join(fmt.Sprint(text))
	fence := "`"
	for strings.Contains(line, fence) {
		fence += "`"
	}
	if len(fence) > 1 {
		line = " " + line + " "
	}
	return fence + line + fence
}

// stamp formats a time for reports.
func stamp(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05 UTC") }
