package preview_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

// manyOpen is how many merge requests are open in the tests: as many as are read.
const manyOpen = 200

// TestManyOpen has as many open merge requests as are read. A look asks for each head once, and for
// none again while nothing changes, and for one when one moves.
func TestManyOpen(t *testing.T) {
	inWorld(t, func(w *world) {
		var numbers []int64
		base := w.repo.Head()
		for i := range manyOpen {
			head := base // most do not concern the node
			if i%20 == 0 {
				head = w.branch(fmt.Sprint("feature", i), map[string]string{folder + "node3/plan": fmt.Sprint("plan", i)})
			}
			numbers = append(numbers, w.gitlab.AddOpen(gitlabtest.Open{Source: fmt.Sprint("feature", i), Head: head, Base: base}))
		}
		n := w.node("node3")
		n.start()
		defer n.stop()
		began := len(w.gitlab.Requests())
		n.look(time.Hour)
		for i := 0; i < manyOpen; i += 20 {
			w.wantNote(numbers[i], fmt.Sprint("s_plan", i))
		}
		all, list := w.calls(began)
		t.Logf("%d requests for the first look", all)
		if finds := strings.Count(list, "GET /api/v4/projects/coin%2Fcoin-gitops/merge_requests/"); finds > manyOpen+10*8 {
			t.Errorf("%d requests for single merge requests and their notes", finds)
		}
		since := len(w.gitlab.Requests())
		for range 50 {
			n.look(30 * time.Second)
		}
		if calls, list := w.calls(since); calls > 0 {
			t.Errorf("idle:\n%s", list)
		}
		w.gitlab.Push(numbers[0], "ada", w.branch("feature0", map[string]string{folder + "node3/plan": "other"}))
		n.look(10 * time.Minute)
		w.wantNote(numbers[0], "s_other")
		if calls, list := w.calls(since); calls > 10 {
			t.Errorf("%d requests for one that moved:\n%s", calls, list)
		}
		w.moved() // another branch
		since = len(w.gitlab.Requests())
		n.look(10 * time.Minute)
		if calls, list := w.calls(since); calls > 2 || strings.Count(list, http.MethodGet) != calls {
			t.Errorf("%d requests when another branch moved:\n%s", calls, list)
		}
	})
}
