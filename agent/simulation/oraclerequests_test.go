package simulation_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// checkRequests says what is wrong with the merge requests.
func (w *world) checkRequests(syncs []attempt) {
	for _, one := range syncs {
		if w.git.others[one.Commit] != nil {
			w.fail("sync #%d is of %s, which is a commit of a merge request", one.ID, one.Commit)
			return
		}
	}
	if wrong := w.requestsWrong(syncs); wrong != "" {
		w.fail("%s", wrong)
	}
	for _, hash := range slices.Sorted(maps.Keys(w.git.others)) {
		for _, post := range w.gitlab.Statuses(hash).Entries {
			if post.Name != "coin-agent/sandbox/node3/plan" {
				w.fail("%s of a merge request has the status %s", hash[:10], post.Name)
			}
		}
	}
}

// requestsWrong says what is wrong with the note on a merge request; "" for nothing.
func (w *world) requestsWrong(syncs []attempt) string {
	for _, one := range w.requests {
		if wrong := w.requestWrong(one, syncs); wrong != "" {
			return wrong
		}
	}
	return ""
}

func (w *world) requestWrong(one *mergeRequest, syncs []attempt) string {
	notes, text := w.notesOn(one), ""
	if len(notes) > 1 {
		return fmt.Sprintf("!%d has %d notes of the environment", one.number, len(notes))
	}
	if len(notes) == 1 {
		text = notes[0].Body
	}
	if one.rival != "" && (strings.Count(text, "| node4 | "+one.rival+" |") != 1 || strings.Count(text, "coin-agent:begin node4 ") != 1) {
		return fmt.Sprintf("!%d lost what node4 shows (%s): %s", one.number, one.rival, text)
	}
	if one.over {
		return ""
	}
	if rows := strings.Count(text, "coin-agent:row node3 -->"); rows == 0 {
		if w.concerns(one, syncs) {
			return fmt.Sprintf("!%d has no row of node3: %s", one.number, text)
		}
		return ""
	} else if rows > 1 {
		return fmt.Sprintf("!%d has %d rows of node3: %s", one.number, rows, text)
	}
	return w.rowWrong(one, text)
}

// concerns reports whether the node must show the head of a merge request: it changes what the node
// reads, and is not what the node has read for a commit of the branch.
func (w *world) concerns(one *mergeRequest, syncs []attempt) bool {
	reads := inputs(one.head.wants)
	if reads == inputs(one.base.wants) {
		return false
	}
	return !slices.ContainsFunc(syncs, func(sync attempt) bool { return inputs(w.git.commits[sync.Commit].wants) == reads })
}

// inputs gives what the node reads of a release.
func inputs(wants release) string {
	files := wants.files()
	delete(files, "README.md")
	return fmt.Sprint(files)
}

// rowWrong says what is wrong with the row of node3: it is of the head, or says that it is stale.
func (w *world) rowWrong(one *mergeRequest, text string) string {
	_, part, _ := strings.Cut(text, "<!-- coin-agent:begin node3 ")
	part, _, _ = strings.Cut(part, "<!-- coin-agent:end node3 -->")
	head := one.head.hash[:10]
	if strings.Contains(part, "Stale: the branch moved to "+head) {
		return ""
	}
	if !strings.Contains(part, "- **Commit**: "+head+" of branch "+one.branch) {
		return fmt.Sprintf("!%d is at %s, and the row of node3 is neither of it nor stale: %s", one.number, head, text)
	}
	broken := one.head.wants.trouble != sound
	none := strings.Contains(text, "| node3 | the merge request changes nothing that this node reads |")
	if cannot := strings.Contains(text, "| node3 | cannot be rendered: "); !none && broken != cannot {
		return fmt.Sprintf("!%d: the release is %q, and the row is wrong: %s", one.number, one.head.wants.trouble, text)
	}
	return ""
}
