package notify

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of a message: what is longer is cut, and says so.
const (
	maxTitle   = 150
	maxDetail  = 800
	maxDetails = 10
	maxListed  = 20
)

// Message is what a receiver gets of one notice, or of several at once.
type Message struct {
	ID     string // the same when it is sent once more
	Time   time.Time
	Title  string
	Blocks []Block
}

// Block is a part of a message. Lines that start with a space belong to the one
// above.
type Block struct {
	Head  string // may be empty
	Lines []string
}

// compose makes one message of notices, the oldest first: the newest in full,
// the others by a line each.
func compose(notices []Notice) Message {
	last := notices[len(notices)-1]
	m := Message{Time: last.Time, Title: title(&last), Blocks: blocks(&last)}
	older := notices[:len(notices)-1]
	if len(older) == 0 {
		return m
	}
	m.Title = cut(m.Title, maxTitle-20) + fmt.Sprintf(" (and %d more)", len(older))
	more := Block{Head: fmt.Sprintf("And %d more before, held back so as not to flood you:", len(older))}
	if skipped := len(older) - maxListed; skipped > 0 {
		more.Lines = append(more.Lines, fmt.Sprintf("%d that are not listed", skipped))
		older = older[skipped:]
	}
	for i := range older {
		more.Lines = append(more.Lines, brief(&older[i]))
	}
	m.Blocks = append(m.Blocks, more)
	return m
}

// title says in one line where and what.
func title(n *Notice) string {
	text := n.Environment + "/" + n.Node + ": "
	if n.Event == Recovery {
		text += "recovered: "
	}
	text += n.Title
	if n.Release != "" {
		text += ", release " + n.Release
	}
	return cut(line(text), maxTitle)
}

// brief is a notice in one line.
func brief(n *Notice) string {
	text := stamp(n.Time) + " " + title(n)
	if n.Commit != "" {
		text += ", commit " + short(n.Commit)
	}
	if len(n.Details) > 0 {
		text += ": " + n.Details[0].Text
	}
	return cut(line(text), 2*maxTitle)
}

func blocks(n *Notice) []Block {
	var parts []Block
	var details Block
	for i, detail := range n.Details {
		if i == maxDetails {
			details.Lines = append(details.Lines, fmt.Sprintf("and %d more: see `agent status` on the node", len(n.Details)-i))
			break
		}
		details.Lines = append(details.Lines, cut(line(detail.Text), maxDetail))
		if detail.Hint != "" {
			details.Lines = append(details.Lines, "  hint: "+cut(line(detail.Hint), maxDetail))
		}
	}
	if len(details.Lines) > 0 {
		parts = append(parts, details)
	}
	if n.Next != "" {
		parts = append(parts, Block{Lines: []string{"Next: " + line(n.Next)}})
	}
	return append(parts, Block{Lines: facts(n)})
}

// facts are where, what and who.
func facts(n *Notice) []string {
	var lines []string
	add := func(name, text string) {
		if text != "" {
			lines = append(lines, fmt.Sprintf("%s: %s", name, cut(line(text), 2*maxTitle)))
		}
	}
	commit := ""
	if n.Commit != "" {
		commit = strings.TrimSpace(short(n.Commit) + " " + n.Ref)
		if n.Subject != "" {
			commit += ` "` + line(n.Subject) + `"`
		}
		if n.Author != "" {
			commit += " by " + n.Author
		}
	}
	add("node", n.Environment+"/"+n.Node)
	add("stack", n.Stack)
	add("release", n.Release)
	add("commit", commit)
	add("link", n.Link)
	add("time", stamp(n.Time))
	return lines
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05 UTC") }

// text is the message without its title, as plain text.
func (m *Message) text() string {
	var b strings.Builder
	for i, block := range m.Blocks {
		if i > 0 {
			b.WriteString("\n")
		}
		if block.Head != "" {
			b.WriteString(block.Head + "\n")
		}
		for _, one := range block.Lines {
			b.WriteString(one + "\n")
		}
	}
	return b.String()
}

// line makes one line of a text: a line break would let a commit's subject say
// something in the agent's name.
func line(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsControl(r) || unicode.IsSpace(r) || r == '\u2028' || r == '\u2029'
	}), " ")
}

// cut bounds a text; an ellipsis marks the cut.
func cut(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return strings.TrimRight(string([]rune(text)[:limit-1]), " ") + "…"
}

func short(commit string) string { return commit[:min(len(commit), 10)] }
