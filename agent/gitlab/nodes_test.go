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

// neighbour is the agent of another node, with a token of its own.
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

// A token that moves to another user must not leave a status running: the new
// user's post makes an entry of its own and GitLab sets the old one aside.
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

// The entry that is looked for may stand behind pages of others.
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

// The same result twice in a row is two reports; a lost answer to the second
// must not be taken for the first.
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

// A state that GitLab already shows, or is past, counts as delivered, and its
// pipeline is learned.
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
			t.Error("the pipeline was not learned")
		}
	})
}

// A report from yesterday goes out before today's.
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
