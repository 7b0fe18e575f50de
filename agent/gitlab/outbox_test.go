package gitlab_test

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

func rollout() []gitlab.Report {
	return []gitlab.Report{report(gitlab.Pending, "seen"), report(gitlab.Running, "2 services"), report(gitlab.Success, "done")}
}

func TestRolloutIsOneEntry(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		w.enqueue(rollout()...)
		w.settled(0)
		w.wantStates("success")
		if posts := w.Statuses(commit).Posts; len(posts) != 3 || posts[2].Description != "done" {
			w.t.Errorf("posts %+v", posts)
		}
		if post, get := w.requests(http.MethodPost), w.requests(http.MethodGet); post != 3 || get != 0 {
			w.t.Errorf("%d posts and %d reads, want 3 and 0", post, get)
		}
		health := w.outbox.Health()
		if health.LastError != "" || health.LastDelivered.IsZero() {
			w.t.Errorf("health %+v", health)
		}
	})
}

func TestPipelineIsKept(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		w.enqueue(report(gitlab.Running, ""))
		w.settled(0)
		w.StartPipeline(commit, "master", "build")
		w.restart() // the pipeline is still known
		w.run()
		w.enqueue(report(gitlab.Success, ""))
		w.settled(0)
		w.wantStates("success")
	})
}

func TestPipelineThatIsGone(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		w.enqueue(report(gitlab.Running, ""))
		w.settled(0)
		w.DeletePipeline(w.Statuses(commit).Entries[0].PipelineID)
		w.enqueue(report(gitlab.Success, ""))
		w.settled(0)
		w.wantStates("success")
		w.enqueue(report(gitlab.Running, ""), report(gitlab.Failed, ""))
		w.settled(0)
		w.wantStates("success", "failed")
		if n := w.requests(http.MethodPost); n != 5 {
			w.t.Errorf("%d posts, want 5: the new pipeline is kept", n)
		}
	})
}

// After each transient failure there is exactly one entry.
func TestTroubleThatPasses(t *testing.T) {
	const post = http.MethodPost
	tests := map[string]struct {
		faults []gitlabtest.Fault
		within time.Duration
	}{
		"conflict":             {[]gitlabtest.Fault{{Method: post, Status: 409, Times: 3}}, 20 * time.Second},
		"rate limit":           {[]gitlabtest.Fault{{Method: post, Status: 429, RetryAfter: 20 * time.Second}}, 30 * time.Second},
		"broken":               {[]gitlabtest.Fault{{Status: 500, Times: 5}}, time.Minute},
		"upkeep":               {[]gitlabtest.Fault{{Status: 503, RetryAfter: time.Minute}}, 90 * time.Second},
		"hang":                 {[]gitlabtest.Fault{{Method: post, Hang: true}}, 32 * time.Second},
		"cut":                  {[]gitlabtest.Fault{{Method: post, Cut: true, Times: 2}}, 5 * time.Second},
		"answer lost":          {[]gitlabtest.Fault{{Method: post, Lost: true}}, 2 * time.Second},
		"answer never comes":   {[]gitlabtest.Fault{{Method: post, Lost: true, Hang: true}}, 32 * time.Second},
		"each answer lost":     {[]gitlabtest.Fault{{Method: post, Lost: true, Times: 3}}, 5 * time.Second},
		"lost, and no reading": {[]gitlabtest.Fault{{Method: post, Lost: true}, {Method: http.MethodGet, Path: "statuses", Status: 500, Times: 3}}, 25 * time.Second},
		"token refused once":   {[]gitlabtest.Fault{{Method: post, Status: 401}}, time.Minute},
		"no right for a while": {[]gitlabtest.Fault{{Method: post, Status: 403, Times: 3}}, 3 * time.Minute},
	}
	for title, test := range tests {
		for position := range 3 {
			t.Run(title+" at "+string(rollout()[position].State), func(t *testing.T) {
				inWorld(t, func(w *world) {
					w.run()
					w.enqueue(rollout()[:position]...)
					w.settled(0)
					w.StartPipeline(commit, "master", "build")
					for _, f := range test.faults {
						w.Inject(f)
					}
					w.enqueue(rollout()[position:]...)
					synctest.Wait()
					w.settled(test.within + 10*time.Millisecond)
					w.wantStates("success")
					if health := w.outbox.Health(); health.LastError != "" || !health.Since.IsZero() {
						w.t.Errorf("health %+v", health)
					}
				})
			})
		}
	}
}

func TestBackoff(t *testing.T) {
	inWorld(t, func(w *world) {
		w.Inject(gitlabtest.Fault{Path: "statuses", Status: 502, Times: -1})
		begin := time.Now()
		w.enqueue(report(gitlab.Success, ""))
		w.run()
		synctest.Wait()
		if health := w.outbox.Health(); health.Undelivered != 1 || !strings.Contains(health.LastError, "502") || health.Code != "gitlab" || !health.Since.Equal(begin) {
			w.t.Errorf("health %+v", health)
		}
		time.Sleep(time.Hour)
		// 1 2 4 … 128 s, then 200 s, each up to half as long again: 18 to 25 tries
		// in the hour, the first of them a post and the others reads.
		tries := w.requests(http.MethodPost) + w.requests(http.MethodGet)
		if tries < 17 || tries > 26 {
			w.t.Errorf("%d tries in an hour", tries)
		}
		if health := w.outbox.Health(); !health.Since.Equal(begin) {
			w.t.Errorf("failing since %s, want %s", health.Since, begin)
		}
		w.Heal()
		w.settled(5 * time.Minute)
		w.wantStates("success")
	})
}

// The agent does not ask GitLab again before the time in Retry-After. After a definite
// refusal it does not look for the result of the post.
func TestRetryAfterIsHonoured(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusConflict} {
		inWorld(t, func(w *world) {
			w.Inject(gitlabtest.Fault{Method: http.MethodPost, Status: status, RetryAfter: 100 * time.Second})
			w.enqueue(report(gitlab.Success, ""))
			w.run()
			time.Sleep(99 * time.Second)
			synctest.Wait()
			if post, get := w.requests(http.MethodPost), w.requests(http.MethodGet); post != 1 || get != 0 {
				t.Errorf("%d: %d posts and %d reads before the time", status, post, get)
			}
			w.settled(52 * time.Second) // half as long again at most
			if reads := w.requests(http.MethodGet); status < 500 && reads != 0 {
				t.Errorf("%d: %d reads", status, reads)
			}
		})
	}
}

func TestRestartInTheMiddle(t *testing.T) {
	crash := errors.New("killed")
	for _, method := range []string{"Save", "Settle"} {
		for _, lost := range []bool{true, false} {
			for position := range 3 {
				inWorld(t, func(w *world) {
					w.run()
					w.enqueue(rollout()[:position]...)
					w.settled(0)
					w.stop()
					w.enqueue(rollout()[position])
					w.store.fail = func(called string) error {
						if called == method {
							return crash
						}
						return nil
					}
					if lost {
						w.Inject(gitlabtest.Fault{Method: http.MethodPost, Lost: true})
					}
					w.run()
					synctest.Wait()
					w.restart()
					w.store.fail = nil
					w.StartPipeline(commit, "master")
					w.run()
					w.enqueue(rollout()[position:]...)
					w.settled(time.Second * 2)
					w.wantStates("success")
					if n := len(w.Statuses(commit).Posts); n != 3 {
						w.t.Errorf("%s at %d: %d posts took effect, want 3", method, position, n)
					}
				})
			}
		}
	}
}

// A post that is slow when the agent stops may go on for some seconds; one that is cut off
// then, and still arrives, is found and not posted again.
func TestStopDuringSlowPost(t *testing.T) {
	for _, late := range []time.Duration{3 * time.Second, 9 * time.Second} {
		inWorld(t, func(w *world) {
			w.run()
			w.enqueue(rollout()[:2]...)
			w.settled(0)
			w.Inject(gitlabtest.Fault{Method: http.MethodPost, Late: late})
			w.enqueue(rollout()[2])
			synctest.Wait()
			w.restart()
			w.run()
			w.settled(time.Minute)
			w.wantStates("success")
			if n := len(w.Statuses(commit).Posts); n != 3 {
				w.t.Errorf("%s late: %d posts took effect, want 3", late, n)
			}
		})
	}
}

func TestTokenIsReplaced(t *testing.T) {
	for what, spoil := range map[string]func(w *world){
		"expired": func(w *world) {
			w.SetToken(gitlabtest.Secret, gitlabtest.Token{User: gitlabtest.Agent(), Scopes: []string{"api"}, Expires: time.Now().Add(-time.Hour)})
		},
		"unreadable": func(w *world) {
			if err := os.Chmod(w.tokenFile, 0o644); err != nil {
				w.t.Error(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.SetToken("glpat-new", gitlabtest.Token{User: gitlabtest.Agent(), Scopes: []string{"api"}})
				spoil(w)
				w.run()
				w.enqueue(rollout()...)
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				if n := len(w.Requests()); n > 22 {
					w.t.Errorf("%d requests in 10 minutes with a bad token", n)
				}
				health := w.outbox.Health()
				if health.Undelivered != 3 || health.LastError == "" || health.Hint == "" {
					w.t.Errorf("health %+v", health)
				}
				if err := os.Chmod(w.tokenFile, 0o600); err != nil {
					w.t.Fatal(err)
				}
				w.writeToken("glpat-new")
				w.settled(2 * time.Second)
				w.wantStates("success")
				health = w.outbox.Health()
				if health.LastError != "" {
					w.t.Errorf("health %+v", health)
				}
			})
		})
	}
}

func TestPermanentRefusalBlocksNoOther(t *testing.T) {
	const other = "2222222222222222222222222222222222222222"
	inWorld(t, func(w *world) {
		missing := report(gitlab.Success, "")
		missing.Commit = other
		w.enqueue(missing, report(gitlab.Success, ""))
		w.run()
		w.settled(0)
		w.wantStates("success")
		refused := w.outbox.Health().Refused
		if refused == nil || refused.Report.Commit != other || !strings.Contains(refused.Reason, "404 Commit Not Found") {
			w.t.Errorf("refused %+v", refused)
		}
		w.AddCommit(other, "master") // the commit arrives later, and is reported again
		w.enqueue(missing)
		w.settled(0)
		if n := len(w.Statuses(other).Entries); n != 1 {
			w.t.Errorf("%d entries", n)
		}
	})
}

func TestWaitingCommitBlocksNoOther(t *testing.T) {
	const other = "2222222222222222222222222222222222222222"
	inWorld(t, func(w *world) {
		w.AddCommit(other, "master")
		w.Inject(gitlabtest.Fault{Path: commit, Status: 500, Times: 4})
		first := rollout()
		w.enqueue(first[0], first[1])
		for _, r := range rollout() {
			r.Commit = other
			w.enqueue(r)
		}
		w.run()
		synctest.Wait()
		if posts := w.Statuses(other).Posts; len(posts) != 3 {
			w.t.Errorf("posts on the other commit: %+v", posts)
		}
		if health := w.outbox.Health(); health.Undelivered != 2 || health.LastError == "" {
			w.t.Errorf("health %+v", health)
		}
		w.settled(time.Minute)
		w.wantStates("running")
	})
}
