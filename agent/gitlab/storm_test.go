package gitlab_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

// With every mixture of faults, each report takes effect once and in order, and no entry
// stays in another pipeline.
func TestStorm(t *testing.T) {
	for seed := range uint64(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inWorld(t, func(w *world) {
				dice := rand.New(rand.NewPCG(seed, 1))
				want := map[string][]string{}
				w.run()
				for run := range 6 {
					r := report(gitlab.Pending, fmt.Sprintf("run %d", run))
					r.Commit = fmt.Sprintf("%040d", run%2+1)
					w.AddCommit(r.Commit, "master")
					last := []gitlab.State{gitlab.Success, gitlab.Failed, gitlab.Canceled}[dice.IntN(3)]
					for _, r.State = range []gitlab.State{gitlab.Pending, gitlab.Running, last} {
						w.trouble(dice, r.Commit)
						w.enqueue(r)
						want[r.Commit] = append(want[r.Commit], string(r.State)+" "+r.Description)
						time.Sleep(time.Duration(dice.IntN(40)) * time.Second)
					}
				}
				w.Heal()
				w.settled(time.Hour)
				for commit, posts := range want {
					timeline := w.Statuses(commit)
					var got []string
					for _, post := range timeline.Posts {
						got = append(got, post.State+" "+post.Description)
					}
					if diff := cmp.Diff(posts, got); diff != "" {
						t.Errorf("commit %s (-want +got):\n%s\n%s", commit, diff, w.logs)
					}
					if len(timeline.Entries) != 3 { // one per run
						t.Errorf("commit %s: entries %+v", commit, timeline.Entries)
					}
				}
			})
		})
	}
}

// trouble injects a fault, or restarts the agent.
func (w *world) trouble(dice *rand.Rand, commit string) {
	w.t.Helper()
	w.Inject([]gitlabtest.Fault{
		{Method: http.MethodPost, Lost: true, Times: 1 + dice.IntN(3)},
		{Method: http.MethodPost, Lost: true, Hang: true},
		{Method: http.MethodPost, Cut: true},
		{Method: http.MethodPost, Status: 409, Times: 2},
		{Method: http.MethodPost, Status: 401},
		{Status: 429, RetryAfter: 90 * time.Second},
		{Status: 500, Times: 1 + dice.IntN(6)},
		{Path: commit, Status: 502, Times: 1 + dice.IntN(4)},
		{Method: http.MethodGet, Cut: true, Times: 2},
		{Hang: true},
	}[dice.IntN(10)])
	switch dice.IntN(4) {
	case 0:
		w.restart()
		w.run()
	case 1:
		if len(w.Statuses(commit).Posts) > 0 { // the first post did not know it
			w.StartPipeline(commit, "master", "build")
		}
	}
}
