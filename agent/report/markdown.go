package report

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// markdown writes a document. It escapes all texts, because errors, log lines, names and
// subjects may contain anything.
type markdown struct{ strings.Builder }

func (m *markdown) heading(level int, text string) {
	m.gap()
	fmt.Fprintf(m, "%s %s\n\n", strings.Repeat("#", level), plainText(text))
}

// gap adds an empty line unless the document ends with one.
func (m *markdown) gap() {
	if text := m.String(); text != "" && !strings.HasSuffix(text, "\n\n") {
		m.WriteString("\n")
	}
}

// item adds a line to a list of facts, unless the text is empty.
func (m *markdown) item(name, text string) {
	if text != "" {
		fmt.Fprintf(m, "- **%s**: %s\n", name, plainText(text))
	}
}

func (m *markdown) line(text string) { fmt.Fprintf(m, "%s\n", plainText(text)) }

func (m *markdown) numbered(texts []string) {
	for i, text := range texts {
		fmt.Fprintf(m, "%d. %s\n", i+1, plainText(text))
	}
}

func (m *markdown) table(header []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	m.gap()
	m.row(header)
	m.WriteString(strings.Repeat("|---", len(header)) + "|\n")
	for _, row := range rows {
		m.row(row)
	}
	m.WriteString("\n")
}

func (m *markdown) row(cells []string) {
	for _, cell := range cells {
		m.WriteString("| " + plainText(cell) + " ")
	}
	m.WriteString("|\n")
}

// code adds lines as a code block, with a fence that none of them can close.
func (m *markdown) code(lines []string) {
	fence := "```"
	for _, line := range lines {
		for strings.Contains(line, fence) {
			fence += "`"
		}
	}
	m.gap()
	m.WriteString(fence + "\n")
	for _, line := range lines {
		m.WriteString(strings.TrimRight(controlFree(line), " ") + "\n")
	}
	m.WriteString(fence + "\n")
}

// sentence gives a text with a capital letter at its beginning and a full stop at its end.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return strings.TrimRight(string(unicode.ToUpper(first))+text[size:], ".") + "."
}

// plainText makes one line of a text and escapes links, tags and cell borders.
func plainText(text string) string {
	text = strings.Join(strings.FieldsFunc(controlFree(text), unicode.IsSpace), " ")
	return strings.NewReplacer(`\`, `\\`, "<", `\<`, "[", `\[`, "|", `\|`).Replace(text)
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
