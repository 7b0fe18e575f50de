package preview_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

// TestOneOfMany has a merge request on which nothing can be shown. The others must have their
// plans, and the node must not ask without end.
func TestOneOfMany(t *testing.T) {
	for name, hinder := range map[string]func(w *world, number int64){
		"long notes": func(w *world, number int64) {
			w.limits.AnswerBytes = 1 << 20
			w.gitlab.AddRequestNote(number, gitlabtest.User{ID: 7, Name: "eve"}, strings.Repeat("x", 1<<20))
		},
		"refused":      func(w *world, _ int64) { w.refuse(http.StatusBadRequest) },
		"GitLab's 500": func(w *world, _ int64) { w.refuse(http.StatusInternalServerError) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				n := w.node("node3")
				first, _ := w.open("first", map[string]string{folder + "node3/plan": "two"})
				hinder(w, first)
				n.start()
				defer func() { n.stop() }()
				n.look(time.Minute)
				second, _ := w.open("second", map[string]string{folder + "node3/plan": "three"})
				n.look(10 * time.Minute)
				w.wantNote(second, "s_three")
				if note := w.note(first); note != "" {
					t.Errorf("shown nevertheless: %s", note)
				}
				if name != "refused" {
					return
				}
				n.stop()
				n.start() // it goes on where it was
				n.look(72 * time.Hour)
				since := len(w.gitlab.Requests())
				n.look(72 * time.Hour)
				if _, list := w.calls(since); strings.Contains(list, "merge_requests") {
					t.Errorf("asked after the end:\n%s", list)
				}
			})
		})
	}
}

// refuse has GitLab refuse the notes of the first merge request.
func (w *world) refuse(status int) {
	w.gitlab.Inject(gitlabtest.Fault{Method: http.MethodGet, Path: "merge_requests/1/notes", Status: status, Times: 1 << 20})
}
