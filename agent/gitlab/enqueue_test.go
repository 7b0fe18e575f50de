package gitlab_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/internal/fault"
)

func TestFlush(t *testing.T) {
	inWorld(t, func(w *world) {
		w.Inject(gitlabtest.Fault{Status: 503, Times: 2})
		w.enqueue(rollout()...)
		if err := w.outbox.Flush(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		w.wantStates("success")
		if err := w.outbox.Flush(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		for _, status := range []int{503, 401} {
			waits := status == 503 // a refused token does not recover
			w.Heal()
			w.Inject(gitlabtest.Fault{Status: status, Times: -1})
			w.enqueue(report(gitlab.Failed, ""))
			ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Minute) // longer than any backoff
			err := w.outbox.Flush(ctx)
			cancel()
			if errors.Is(err, context.DeadlineExceeded) != waits || err == nil ||
				!strings.Contains(err.Error(), "1 left") || !strings.Contains(err.Error(), strconv.Itoa(status)) {
				w.t.Errorf("%d: error %v, hint %q", status, err, fault.Hint(err))
			}
		}
	})
}

func TestWhatEnqueueSkips(t *testing.T) {
	tests := map[string]struct {
		reports []gitlab.Report
		posts   []string
		entries []string
	}{
		"the same again":           {[]gitlab.Report{report(gitlab.Success, "a"), report(gitlab.Success, "a")}, []string{"success"}, []string{"success"}},
		"another description":      {[]gitlab.Report{report(gitlab.Success, "a"), report(gitlab.Success, "b")}, []string{"success", "success"}, []string{"success", "success"}},
		"progress while running":   {[]gitlab.Report{report(gitlab.Running, "1 of 2"), report(gitlab.Running, "2 of 2"), report(gitlab.Success, "")}, []string{"running", "success"}, []string{"success"}},
		"another run after a good": {[]gitlab.Report{report(gitlab.Running, ""), report(gitlab.Success, ""), report(gitlab.Running, ""), report(gitlab.Success, "")}, []string{"running", "success", "running", "success"}, []string{"success", "success"}},
		"another run after a bad":  {[]gitlab.Report{report(gitlab.Failed, ""), report(gitlab.Pending, ""), report(gitlab.Running, "")}, []string{"failed", "pending", "running"}, []string{"failed", "running"}},
		"superseded":               {[]gitlab.Report{report(gitlab.Pending, ""), report(gitlab.Canceled, "")}, []string{"pending", "canceled"}, []string{"canceled"}},
	}
	for title, test := range tests {
		for _, between := range []string{"nothing", "delivery", "restart"} {
			t.Run(title+" with "+between+" between", func(t *testing.T) {
				inWorld(t, func(w *world) {
					for _, r := range test.reports {
						w.enqueue(r)
						if between == "nothing" {
							continue
						}
						if err := w.outbox.Flush(w.t.Context()); err != nil {
							w.t.Fatal(err)
						}
						if between == "restart" {
							w.restart()
						}
					}
					w.run()
					w.settled(0)
					w.wantStates(test.entries...)
					var posts []string
					for _, post := range w.Statuses(commit).Posts {
						posts = append(posts, post.State)
					}
					if !slices.Equal(posts, test.posts) {
						w.t.Errorf("posts %v, want %v", posts, test.posts)
					}
				})
			})
		}
	}
}

func TestEnqueueRefuses(t *testing.T) {
	inWorld(t, func(w *world) {
		bad := report(gitlab.Success, "")
		bad.Commit = commit[:8]
		if err := w.outbox.Enqueue(bad); fault.Hint(err) == "" {
			w.t.Errorf("short hash: %v", err)
		}
		w.store.fail = func(string) error { return errors.New("disk full") }
		if err := w.outbox.Enqueue(report(gitlab.Success, "")); err == nil {
			w.t.Error("a report was accepted, but not stored")
		}
		if health := w.outbox.Health(); !strings.Contains(health.LastError, "disk full") {
			w.t.Errorf("health %+v", health)
		}
	})
}

// TestPlanOfAProtectedBranch posts the plan of a merge request whose branch is protected against the
// token's user: that is refused, and stops no other status.
func TestPlanOfAProtectedBranch(t *testing.T) {
	const head = "3333333333333333333333333333333333333333"
	inWorld(t, func(w *world) {
		w.SetToken(gitlabtest.Secret, gitlabtest.Token{Name: "agent", User: gitlabtest.User{ID: 101, Name: "coin-agent", Access: gitlabtest.Developer}, Scopes: []string{"api"}})
		w.AddCommit(head, "release")
		w.ProtectBranch("release")
		w.run()
		w.enqueue(gitlab.Report{Commit: head, Ref: "release", Name: "coin-agent/sandbox/node3/plan", State: gitlab.Success, Plan: true})
		w.enqueue(rollout()...)
		w.settled(time.Hour)
		w.wantStates("success")
		if refused := w.outbox.Health().Refused; refused == nil || refused.Report.Commit != head || !strings.Contains(refused.Reason, "403") {
			t.Errorf("refused %+v", refused)
		}
	})
}
