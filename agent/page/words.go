package page

import (
	"strings"
	"time"

	"github.com/a-h/templ"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/internal/oneline"
)

// How many characters of a text are shown.
const (
	shortText = 80
	midText   = 200
	longText  = 1000
)

// say gives a text as it is shown: on one line, visible, and cut.
func say(text string, limit int) string {
	if most := 8 * limit; len(text) > most {
		text = text[:most]
	}
	return oneline.Cut(text, limit)
}

// joined puts the word for the services and the one for the commit together.
func joined(word, sync string) string {
	if sync == "" {
		return word
	}
	return word + " · " + sync
}

// piece is a part of a text: words, a command, or the form that does what a command does.
type piece struct {
	Text    string
	Command bool
	Link    templ.SafeURL // of the form; "" for none
}

// pieces divides a text with commands in backquotes.
func pieces(text string) []piece {
	var list []piece
	for i, part := range strings.Split(say(text, longText), "`") {
		if part != "" {
			list = append(list, piece{Text: part, Command: i%2 == 1})
		}
	}
	return list
}

// steps divides what a user does next: it names the forms that the page offers, in place of their
// commands. A command with an option that the form does not have stays.
func (f frame) steps(text string, s *report.Status) []piece {
	list, offered := pieces(text), f.offered(s)
	for i, one := range list {
		command, isAgent := strings.CutPrefix(one.Text, "agent ")
		for _, act := range offered {
			if one.Command && isAgent && (command == act.Name || act.Name == "approve" && strings.HasPrefix(command, "approve ")) {
				list[i] = piece{Text: act.Title, Link: f.to("/act/" + act.Name)}
			}
		}
	}
	return list
}

// toneOf is the class of a sync's state.
func toneOf(state record.State) string {
	switch state {
	case record.Succeeded:
		return "well"
	case record.Failed:
		return "alarm"
	case record.RolledBack, record.Pending, record.Waiting, record.Running:
		return "attention"
	case record.Superseded:
	}
	return "quiet"
}

// signs are the shapes that stand beside words, so that no state is its colour alone.
var signs = map[string]string{"well": "✓", "attention": "!", "alarm": "✕", "quiet": "–"}

// stamp gives a time in full.
func stamp(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05 UTC") }

// machine gives a time for the attribute of an element.
func machine(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// age gives the time from then to now.
func age(then, now time.Time) string { return report.Roughly(now.Sub(then)) }

// lasted gives a length of time; "" for none.
func lasted(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// room is the space for lists in a page, in bytes of escaped text.
type room int

// pageRoom is the space of one page, in which its lists share. What is around them fits beside.
const pageRoom = room(230_000)

// take gives a part of the space to a list.
func (r *room) take(most room) room {
	part := max(0, min(most, *r))
	*r -= part
	return part
}

// back takes what a list has left over.
func (r *room) back(left *room) { *r += max(0, *left) }

// has takes the space of texts, and reports whether there was enough.
func (r *room) has(texts ...string) bool {
	for _, text := range texts {
		*r -= room(len(templ.EscapeString(text)))
	}
	return *r >= 0
}
