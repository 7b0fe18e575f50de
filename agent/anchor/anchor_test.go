package anchor_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/anchor"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

func TestParse(t *testing.T) {
	first := anchor.Anchor{Node: "sandbox/node3", Seq: 12, Hash: hashOf(12)}
	next := first
	next.After = 9
	for _, one := range []anchor.Anchor{first, next} {
		if got, is := anchor.Parse(one.String()); !is || got != one {
			t.Errorf("%q: %+v, %v", one, got, is)
		}
	}
	text := next.String()
	for _, other := range []string{
		"", "thanks", " " + text, text + " ", text + "\n" + text, "> " + text,
		strings.Replace(text, "12", "0", 1), strings.Replace(text, "12", "-1", 1), strings.Replace(text, "12", strings.Repeat("9", 20), 1),
		strings.Replace(text, "12", "12.5", 1), strings.Replace(text, hashOf(12), hashOf(12)[1:], 1), strings.Replace(text, "000c", "000C", 1),
		strings.Replace(text, "node3", "no de3", 1),
	} {
		if got, is := anchor.Parse(other); is {
			t.Errorf("%q is taken for %+v", other, got)
		}
	}
}

// Only notes by the token's own user count: any member of the project can write one.
func TestAnchorsOfANode(t *testing.T) {
	inWorld(t, func(w *world) {
		mine, eve := gitlabtest.Agent(), gitlabtest.User{ID: 66, Name: "eve", Access: gitlabtest.Maintainer}
		text := func(node string, seq, after uint64) string {
			return anchor.Anchor{Node: node, Seq: seq, Hash: hashOf(seq), After: after}.String()
		}
		first := w.AddNote(17, mine, text("sandbox/node3", 4, 0), false)
		w.AddNote(17, mine, text("sandbox/node4", 5, 0), false)
		w.AddNote(17, eve, text("sandbox/node3", 6, 4), false)
		w.AddNote(17, mine, text("sandbox/node3", 7, 4), true) // GitLab's own
		w.AddNote(17, mine, "rotated the token", false)
		for range 130 { // the anchors are on several pages
			w.AddNote(17, eve, "+1", false)
		}
		second := w.AddNote(17, mine, text("sandbox/node3", 8, 4), false)
		w.EditNote(17, first, text("sandbox/node3", 3, 0))
		found, others, err := anchor.Issue{Notes: w.client, Number: 17}.Anchors(w.t.Context(), "sandbox/node3")
		want := []audit.Anchored{{Seq: 8, Hash: hashOf(8), After: 4, Note: second}, {Seq: 3, Hash: hashOf(3), Note: first, Changed: true}}
		if diff := cmp.Diff(want, found); err != nil || others != 1 || diff != "" {
			w.t.Errorf("%v, %d others: %s", err, others, diff)
		}
		w.Inject(gitlabtest.Fault{Path: "notes", Status: 500})
		if _, _, err := (anchor.Issue{Notes: w.client, Number: 17}).Anchors(w.t.Context(), "sandbox/node3"); err == nil {
			w.t.Error("a page that GitLab does not give is taken for the end")
		}
		if err := (anchor.Issue{Notes: w.client, Number: 9}).Check(w.t.Context()); err == nil {
			w.t.Error("an issue that is not there is good")
		}
	})
}

// An anchor that another user has copied does not stand for the one whose answer was lost.
func TestCopiedAnchorIsNotOurs(t *testing.T) {
	inWorld(t, func(w *world) {
		w.move(2)
		next := anchor.Anchor{Node: "sandbox/node3", Seq: 5, Hash: hashOf(5), After: 2}
		w.AddNote(17, gitlabtest.User{ID: 66, Name: "eve"}, next.String(), false)
		w.Inject(gitlabtest.Fault{Method: "POST", Cut: true})
		w.move(5)
		w.pass(2e9)
		own := 0
		for _, note := range w.Notes(17) {
			if note.Body == next.String() && note.Author.ID == gitlabtest.Agent().ID {
				own++
			}
		}
		if own != 1 {
			w.t.Errorf("%d notes of the agent", own)
		}
	})
}
