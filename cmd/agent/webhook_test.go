package main

import (
	"net/http"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy/swarmtest"
)

// TestWebhook has an agent that looks once an hour look after GitLab's hooks, also while GitLab's
// API cannot be reached. The log says how long it takes from the push to the first write.
func TestWebhook(t *testing.T) {
	t.Parallel()
	const secret = "0123456789abcdef0123456789abcdef"
	l := newLab(t)
	l.withAPI()
	l.settings["interval"], l.settings["webhook_token_file"] = "1h", l.file("hook", secret+"\n")
	first := l.commit("first", l.tinyRepo())
	l.start()
	l.await(first, record.Succeeded)
	l.posts(first, "success")
	l.until("resting until the next look", func(s report.Status) bool { return s.NextPoll.After(s.LastLook) })
	hook := gitlabtest.Hook{URL: "http://" + l.settings["api_listen"] + "/hooks/gitlab", Token: secret}
	push := func(hook gitlabtest.Hook, branch, commit string, want int) {
		t.Helper()
		if code, err := l.gitlab.SendPush(t.Context(), hook, branch, first, commit); code != want || err != nil {
			t.Errorf("a hook about %s gets %d, %v", branch, code, err)
		}
	}
	last := func() time.Time {
		t.Helper()
		status, err := l.status()
		if err != nil {
			t.Fatal(err)
		}
		return status.LastLook
	}

	looked := last()
	forged := hook
	forged.Token += "0"
	push(forged, "master", first, http.StatusUnauthorized)
	push(hook, "topic", first, http.StatusAccepted)
	if now := last(); now != looked {
		t.Errorf("it looked for a forged hook, or for another branch: %s, %s", looked, now)
	}

	l.gitlab.Inject(gitlabtest.Fault{Cut: true, Times: -1})
	for _, tag := range []string{"2", "1", "2"} {
		commit := l.repo.Commit("tag "+tag, map[string]string{node3 + "node.env": l.nodeEnv(tag, "")})
		wrote := make(chan time.Time, 1)
		l.recorder.Reset()
		l.recorder.BeforeWrite(1, func(swarmtest.Call) error {
			wrote <- time.Now()
			return nil
		})
		began := time.Now()
		push(hook, "master", commit, http.StatusAccepted)
		select {
		case at := <-wrote:
			t.Logf("first write %s after the hook", at.Sub(began).Round(time.Millisecond))
		case <-time.After(patience):
			t.Fatal("no write after the hook")
		}
		l.await(commit, record.Succeeded)
	}
	l.gitlab.Heal()

	l.git.Requests()
	merge := gitlabtest.MergeRequest{IID: 1, SourceBranch: "topic", TargetBranch: "master"}
	for range 5 {
		if code, err := l.gitlab.SendMergeRequest(t.Context(), hook, merge, "update"); code != http.StatusAccepted || err != nil {
			t.Fatalf("%d, %v", code, err)
		}
	}
	l.until("it looks after a merge request's hook", func(report.Status) bool { return len(l.git.Requests()) > 0 })
}
