package notify

import (
	"fmt"
	"strings"
	"time"

	"coin.internal/coin-agent/internal/oneline"
)

// The limits of a message. Longer texts and lists are cut.
const (
	maxTitle   = 150
	maxDetail  = 800
	maxDetails = 10
	maxListed  = 20
)

// Message is a message to a receiver about one or several notices.
type Message struct {
	ID     string // the same for each attempt
	Time   time.Time
	Title  string
	Blocks []Block
}

// Block is a part of a message. Lines that start with a space belong to the line above.
type Block struct {
	Head  string // may be empty
	Lines []string
}

// compose makes one message from notices, the oldest first: the newest one in full, the
// others with one line each.
func compose(notices []Notice) Message {
	last := notices[len(notices)-1]
	m := Message{Time: last.Time, Title: title(&last), Blocks: blocks(&last)}
	older := notices[:len(notices)-1]
	if len(older) == 0 {
		return m
	}
	m.Title = oneline.Cut(m.Title, maxTitle-20) + fmt.Sprintf(" (and %d more)", len(older))
	more := Block{Head: fmt.Sprintf("Earlier notices (%d), delayed to limit the number of messages:", len(older))}
	if skipped := len(older) - maxListed; skipped > 0 {
		more.Lines = append(more.Lines, fmt.Sprintf("%d not listed", skipped))
		older = older[skipped:]
	}
	for i := range older {
		more.Lines = append(more.Lines, brief(&older[i]))
	}
	m.Blocks = append(m.Blocks, more)
	return m
}

// title returns the node and the event on one line.
func title(n *Notice) string {
	text := n.Environment + "/" + n.Node + ": "
	if n.Event == Recovery {
		text += "recovered: "
	}
	text += n.Title
	if n.Release != "" {
		text += ", release " + n.Release
	}
	return oneline.Cut(text, maxTitle)
}

// brief returns a notice on one line.
func brief(n *Notice) string {
	text := stamp(n.Time) + " " + title(n)
	if n.Commit != "" {
		text += ", commit " + short(n.Commit)
	}
	if len(n.Details) > 0 {
		text += ": " + n.Details[0].Text
	}
	return oneline.Cut(text, 2*maxTitle)
}

func blocks(n *Notice) []Block {
	var parts []Block
	var details Block
	for i, detail := range n.Details {
		if i == maxDetails {
			details.Lines = append(details.Lines, fmt.Sprintf("and %d more: see `agent status` on the node", len(n.Details)-i))
			break
		}
		details.Lines = append(details.Lines, oneline.Cut(detail.Text, maxDetail))
		if detail.Hint != "" {
			details.Lines = append(details.Lines, "  hint: "+oneline.Cut(detail.Hint, maxDetail))
		}
	}
	if len(details.Lines) > 0 {
		parts = append(parts, details)
	}
	if n.Next != "" {
		parts = append(parts, Block{Lines: []string{"Next: " + oneline.Join(n.Next)}})
	}
	return append(parts, Block{Lines: facts(n)})
}

// facts returns the lines with node, release, commit and time.
func facts(n *Notice) []string {
	var lines []string
	add := func(name, text string) {
		if text != "" {
			lines = append(lines, fmt.Sprintf("%s: %s", name, oneline.Cut(text, 2*maxTitle)))
		}
	}
	commit := ""
	if n.Commit != "" {
		commit = strings.TrimSpace(short(n.Commit) + " " + n.Ref)
		if n.Subject != "" {
			commit += ` "` + oneline.Join(n.Subject) + `"`
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

// text returns the message without its title as plain text.
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

func short(commit string) string { return commit[:min(len(commit), 10)] }
