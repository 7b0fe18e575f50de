package gitlab_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

// neighbour is the agent of another node with a different token.
func (w *world) neighbour(user gitlabtest.User) *world {
	w.t.Helper()
	secret := "glpat-" + user.Name
	w.SetToken(secret, gitlabtest.Token{Name: user.Name, User: user, Scopes: []string{"api"}})
	other := *w
	other.store = &memory{trails: map[string][]byte{}}
	other.tokenFile = gitlabtest.TokenFile(w.t, secret)
	other.stop = nil
	other.restart()
	w.t.Cleanup(func() {
		other.stop()
		other.client.CloseIdle()
	})
	return &other
}

func TestTwoNodesShareThePipeline(t *testing.T) {
	for _, user := range []gitlabtest.User{gitlabtest.Agent(), {ID: 102, Name: "node4", Access: gitlabtest.Maintainer}} {
		inWorld(t, func(w *world) {
			other := w.neighbour(user)
			w.run()
			other.run()
			for _, r := range rollout() {
				w.enqueue(r)
				r.Name = "coin-agent/sandbox/node4"
				other.enqueue(r)
			}
			w.settled(0)
			other.settled(0)
			entries := w.Statuses(commit).Entries
			if len(entries) != 2 || entries[0].Name == entries[1].Name || entries[0].PipelineID != entries[1].PipelineID {
				t.Errorf("entries %+v", entries)
			}
			w.wantStates("success", "success")
			other.stop()
		})
	}
}

// A token of another user must not leave a status running: the new user's post makes a new
// entry, and GitLab marks the old one as retried.
func TestTokenMovesToAnotherUser(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		w.enqueue(report(gitlab.Running, ""))
		w.settled(0)
		w.SetToken("glpat-new", gitlabtest.Token{User: gitlabtest.User{ID: 102, Name: "new", Access: gitlabtest.Maintainer}, Scopes: []string{"api"}})
		w.writeToken("glpat-new")
		w.Inject(gitlabtest.Fault{Method: http.MethodPost, Lost: true})
		w.enqueue(report(gitlab.Success, ""))
		w.settled(2 * time.Second)
		w.wantStates("running", "success")
		if entries := w.Statuses(commit).Entries; !entries[0].Retried || entries[1].Retried {
			t.Errorf("entries %+v", entries)
		}
	})
}

// The searched entry may be behind pages of other entries.
func TestLostAnswerBehindManyEntries(t *testing.T) {
	inWorld(t, func(w *world) {
		w.Inject(gitlabtest.Fault{Method: http.MethodPost, Lost: true})
		w.enqueue(report(gitlab.Success, ""))
		w.run()
		synctest.Wait()
		other := w.neighbour(gitlabtest.User{ID: 102, Name: "other", Access: gitlabtest.Maintainer})
		for range 150 {
			if _, err := other.client.Post(w.t.Context(), report(gitlab.Failed, ""), 0); err != nil {
				w.t.Fatal(err)
			}
		}
		other.client.CloseIdle()
		w.settled(2 * time.Second)
		if n := len(w.states()); n != 151 {
			t.Errorf("%d entries, want 151", n)
		}
	})
}

// The same state twice is two reports. After a lost answer to the second report, the agent
// must not treat the entry of the first as its result.
func TestLostAnswerAfterTheSameState(t *testing.T) {
	for _, f := range []gitlabtest.Fault{
		{Method: http.MethodPost, Lost: true}, {Method: http.MethodPost, Cut: true}, {Method: http.MethodPost, Status: 500},
	} {
		inWorld(t, func(w *world) {
			w.run()
			w.enqueue(report(gitlab.Success, "first"))
			w.settled(0)
			w.Inject(f)
			w.enqueue(report(gitlab.Success, "second"))
			w.settled(2 * time.Second)
			w.wantStates("success", "success")
		})
	}
}

func TestCanceledByHand(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		w.enqueue(report(gitlab.Running, ""))
		w.settled(0)
		w.CancelPipeline(w.Statuses(commit).Entries[0].PipelineID)
		w.enqueue(report(gitlab.Success, ""))
		w.settled(0)
		w.wantStates("canceled", "success")
	})
}

func TestFullPipelineIsToldAndPassedOver(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		w.enqueue(report(gitlab.Running, ""))
		w.settled(0)
		w.FillPipeline(w.Statuses(commit).Entries[0].PipelineID)
		w.enqueue(report(gitlab.Success, ""), report(gitlab.Failed, ""))
		w.settled(0)
		w.wantStates("success")
		health := w.outbox.Health()
		if health.Refused == nil || !strings.Contains(health.Refused.Reason, "number of jobs") || health.Hint == "" {
			t.Errorf("health %+v", health)
		}
	})
}

// A report counts as delivered if GitLab already has its state or a later one. The agent
// then stores the pipeline.
func TestStateThatStandsAlready(t *testing.T) {
	inWorld(t, func(w *world) {
		if _, err := w.client.Post(w.t.Context(), report(gitlab.Running, "by hand"), 0); err != nil {
			w.t.Fatal(err)
		}
		w.enqueue(report(gitlab.Pending, ""), report(gitlab.Running, ""))
		w.run()
		w.settled(0)
		ci := w.StartPipeline(commit, "master", "build")
		w.enqueue(report(gitlab.Success, ""))
		w.settled(0)
		w.wantStates("success")
		if got := w.Statuses(commit).Entries[0].PipelineID; got == ci {
			t.Error("the agent did not store the pipeline")
		}
	})
}

// A report of the last day is sent before a new one.
func TestReportsLeftFromYesterday(t *testing.T) {
	inWorld(t, func(w *world) {
		w.enqueue(report(gitlab.Pending, ""))
		w.restart()
		time.Sleep(24 * time.Hour)
		w.enqueue(report(gitlab.Running, ""), report(gitlab.Success, ""))
		w.run()
		w.settled(0)
		var posts []string
		for _, post := range w.Statuses(commit).Posts {
			posts = append(posts, post.State)
		}
		if !slices.Equal(posts, []string{"pending", "running", "success"}) {
			t.Errorf("posts %v", posts)
		}
	})
}
