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
	ID    string // the same for each attempt
	Time  time.Time
	Title string
	Text  string // paragraphs; a line that starts with a space belongs to the line above

	Newest Notice // of those that the message is about
}

// compose makes one message from notices, the oldest first: the newest one in full, the
// others with one line each.
func compose(notices []Notice) Message {
	last, older := &notices[len(notices)-1], notices[:len(notices)-1]
	m := Message{Time: last.Time, Title: title(last), Newest: *last}
	paragraphs := [][]string{details(last)}
	if last.Next != "" {
		paragraphs = append(paragraphs, []string{"Next: " + oneline.Join(last.Next)})
	}
	paragraphs = append(paragraphs, facts(last))
	if len(older) > 0 {
		m.Title = oneline.Cut(m.Title, maxTitle-20) + fmt.Sprintf(" (and %d more)", len(older))
		paragraphs = append(paragraphs, earlier(older))
	}
	for _, lines := range paragraphs {
		if len(lines) > 0 {
			m.Text += "\n" + strings.Join(lines, "\n") + "\n"
		}
	}
	m.Text = strings.TrimPrefix(m.Text, "\n")
	return m
}

// earlier returns the lines with the notices that had to wait.
func earlier(notices []Notice) []string {
	lines := []string{fmt.Sprintf("Earlier notices (%d), delayed to limit the number of messages:", len(notices))}
	if skipped := len(notices) - maxListed; skipped > 0 {
		lines = append(lines, fmt.Sprintf("%d not listed", skipped))
		notices = notices[skipped:]
	}
	for i := range notices {
		lines = append(lines, brief(&notices[i]))
	}
	return lines
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

// details returns the lines with the faults, differences or results.
func details(n *Notice) []string {
	var lines []string
	for i, detail := range n.Details {
		if i == maxDetails {
			return append(lines, fmt.Sprintf("and %d more: see `agent status` on the node", len(n.Details)-i))
		}
		lines = append(lines, oneline.Cut(detail.Text, maxDetail))
		if detail.Hint != "" {
			lines = append(lines, "  hint: "+oneline.Cut(detail.Hint, maxDetail))
		}
	}
	return lines
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
	add("sync", n.Page)
	add("time", stamp(n.Time))
	return lines
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05 UTC") }

func short(commit string) string { return commit[:min(len(commit), 10)] }
