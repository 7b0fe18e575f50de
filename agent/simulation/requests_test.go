package simulation_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/deploy/enginetest"
)

// mergeRequest is a merge request.
type mergeRequest struct {
	number     int64
	branch     string
	head, base *commit
	over       bool   // it is merged or closed
	touched    bool   // since it was checked
	rival      string // what another node shows in the note; "" for nothing
}

// mostRequests is how many merge requests are open at a time.
const mostRequests = 2

// touchRequest does one thing with a merge request.
func (w *world) touchRequest() {
	var open []*mergeRequest
	for _, one := range w.requests {
		if !one.over {
			open = append(open, one)
		}
	}
	if len(open) == 0 || len(open) < mostRequests && w.random.IntN(3) == 0 {
		w.openRequest()
		return
	}
	one := open[w.random.IntN(len(open))]
	one.touched = true
	switch w.random.IntN(9) {
	case 0, 1, 2:
		w.pushRequest(one, one.head, w.proposal(one.head.wants))
	case 3:
		one.base = w.git.head
		w.pushRequest(one, one.base, w.proposal(one.base.wants))
	case 4:
		w.note("!%d is closed", one.number)
		one.over = true
		w.gitlab.CloseMergeRequest(one.number)
	case 5, 6:
		w.note("!%d is merged", one.number)
		one.over = true
		wants := one.head.wants
		wants.about = "merge"
		w.push(wants)
		w.gitlab.Merge(one.number, w.git.head.hash)
	default:
		w.rivalWrites(one)
	}
}

// proposal gives what a branch changes.
func (w *world) proposal(wants release) release {
	wants.about, wants.trouble = "proposal", sound
	switch w.random.IntN(7) {
	case 0:
		wants.trouble = []trouble{malformed, unset}[w.random.IntN(2)]
	case 1:
		wants.secret++
	case 2:
		wants.readme++
	case 3:
		wants = w.git.head.wants // nothing is left of it
		wants.about, wants.trouble = "proposal", sound
	case 4:
		wants.approval = !wants.approval
	default:
		wants.tag, wants.level = "", w.random.IntN(9)
	}
	if strings.Trim(wants.tag, "0123456789") != "g" { // the others may be images that do not run
		wants.tag = fmt.Sprintf("r%d", w.git.made)
		w.engine.Image(wants.image(), enginetest.DemoApp())
	}
	return wants
}

func (w *world) openRequest() {
	one := &mergeRequest{branch: fmt.Sprintf("feature%d", len(w.requests)), base: w.git.head, touched: true}
	one.head = w.git.commitAside(one.base, w.proposal(one.base.wants))
	w.gitlab.AddCommit(one.head.hash, one.branch)
	one.number = w.gitlab.AddOpen(gitlabtest.Open{Source: one.branch, Head: one.head.hash, Base: one.base.hash})
	w.requests = append(w.requests, one)
	w.note("!%d is opened with %s: %+v", one.number, one.head.hash[:10], one.head.wants)
	switch w.random.IntN(6) {
	case 0, 1:
		w.rivalWrites(one)
	case 2:
		w.note("fault: the answer to the first note is lost")
		w.gitlab.Inject(gitlabtest.Fault{Method: "POST", Path: "/notes", Lost: true})
	}
}

func (w *world) pushRequest(one *mergeRequest, parent *commit, wants release) {
	one.head = w.git.commitAside(parent, wants)
	w.gitlab.AddCommit(one.head.hash, one.branch)
	w.gitlab.Rebase(one.number, "ada", one.head.hash, one.base.hash)
	w.note("!%d is at %s: %+v", one.number, one.head.hash[:10], wants)
}

// The row and the part of the other node in a note.
var rivalPart = regexp.MustCompile(`(?m)^\| node4 .*\n|\n?^<!-- coin-agent:begin node4 (.|\n)*coin-agent:end node4 -->\n`)

// rivalWrites has another node of the environment do its part: it reads the note, and writes it
// some seconds later as it was, with its own row.
func (w *world) rivalWrites(one *mergeRequest) {
	notes := w.notesOn(one)
	w.pass(time.Duration(w.random.IntN(8000)) * time.Millisecond)
	if now := w.notesOn(one); one.over || len(notes) == 0 && len(now) > 0 || len(notes) > 0 && (len(now) == 0 || now[0].ID != notes[0].ID) {
		return // it would have found another note
	}
	one.rival = fmt.Sprintf("rival %d", w.git.moved+uint64(w.random.IntN(1000)))
	row := "| node4 | " + one.rival + " |  |  <!-- coin-agent:row node4 --> |\n"
	part := "\n<!-- coin-agent:begin node4 0123456789abcdef -->\n\n" + one.rival + "\n\n<!-- coin-agent:end node4 -->\n"
	if len(notes) == 0 {
		w.note("!%d: the other node makes the note", one.number)
		w.gitlab.AddRequestNote(one.number, gitlabtest.Agent(), "<!-- coin-agent:plans sandbox by node4 -->\n\n| node | plan | secrets | waits for |\n|---|---|---|---|\n"+row+part)
		return
	}
	w.note("!%d: the other node changes the note", one.number)
	const border = "|---|---|---|---|\n"
	w.gitlab.EditRequestNote(one.number, notes[0].ID, strings.Replace(rivalPart.ReplaceAllString(notes[0].Body, ""), border, border+row, 1)+part)
}

func (w *world) traceText() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trace.String()
}

// notesOn gives the notes of agents on a merge request.
func (w *world) notesOn(one *mergeRequest) []gitlabtest.Note {
	return slices.DeleteFunc(w.gitlab.RequestNotes(one.number), func(n gitlabtest.Note) bool { return n.Author.ID != gitlabtest.Agent().ID })
}

// showRequests lets time pass until the notes of the merge requests are right that were touched.
// Then, sometimes, a registry is away for a commit: the row is stale at once.
func (w *world) showRequests() {
	touched := slices.DeleteFunc(slices.Clone(w.requests), func(one *mergeRequest) bool { return !one.touched })
	if len(touched) == 0 || len(w.wrong) > 0 {
		return
	}
	w.waitForNotes()
	for _, one := range touched {
		notes := w.notesOn(one)
		if !one.over && len(w.wrong) == 0 && len(notes) > 0 && strings.Contains(notes[0].Body, "row node3 -->") && one.head.wants.trouble == sound && w.random.IntN(4) == 0 {
			w.staleRequest(one)
		}
		one.touched = false
	}
}

// waitForNotes lets time pass until the notes are right, and as long as a node looks whether
// another one overwrites its row.
func (w *world) waitForNotes() {
	for range 40 {
		if syncs, err := w.records(); err == nil && w.requestsWrong(syncs) == "" {
			w.pass(2 * time.Minute)
			return // check says whether it stays so
		}
		w.pass(interval)
	}
}

// staleRequest pushes a commit whose image is at a registry that does not answer.
func (w *world) staleRequest(one *mergeRequest) {
	wants := one.head.wants
	wants.about, wants.tag = "unreachable", fmt.Sprintf("u%d", w.git.made)
	w.engine.Image(wants.image(), enginetest.DemoApp(), enginetest.Unreachable())
	w.unreachable = append(w.unreachable, wants.image())
	w.pushRequest(one, one.head, wants)
	w.pass(interval + interval/3)
	tried := fmt.Sprintf("msg=\"cannot make the plan of a merge request\" number=%d revision=%s", one.number, one.head.hash[:10])
	if syncs, err := w.records(); err == nil && strings.Contains(w.traceText(), tried) {
		if wrong := w.requestWrong(one, syncs); wrong != "" {
			w.fail("while the registry is away: %s", wrong)
		}
	}
	w.heal()
	w.settle()
	w.waitForNotes()
}
