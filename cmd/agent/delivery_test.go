package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// TestDelivery rolls out while GitLab is in trouble: the rollout goes on, the
// operator sees it, and GitLab has all in the end.
func TestDelivery(t *testing.T) {
	l, first := newSmallLab(t)
	l.running(first)
	l.until("all of it delivered", func(s report.Status) bool {
		made := l.gitlab.Deployments("sandbox/node3")
		return s.GitLab.Undelivered == 0 && len(made) == 1 && made[0].Status == "success"
	})
	page := func(commit string) string { // that the status links to
		posts := l.gitlab.Statuses(commit).Posts
		_, path, _ := strings.Cut(posts[len(posts)-1].TargetURL, "/coin/coin-gitops")
		if !l.gitlab.HasPage(path) {
			l.t.Errorf("the status of %s links to no page of GitLab: %q", commit, path)
		}
		return path
	}
	if path := page(first); path != "/-/environments/1/deployments/1" {
		l.t.Errorf("the status links to %q", path)
	}
	tag := func(tag string) map[string]string {
		return map[string]string{node3 + "node.env": l.nodeEnv("1", "TAG_WORKER="+tag)}
	}
	undelivered := func(s report.Status) bool { return s.GitLab.Undelivered == 5 && s.GitLab.LastError != "" }
	delivered := func(commit string) {
		l.t.Helper()
		if states := strings.Join(l.posts(commit, "success"), " "); states != "pending running success" {
			l.t.Errorf("GitLab has %s", states)
		}
		l.until("delivered", func(s report.Status) bool { return s.GitLab.Undelivered == 0 && s.GitLab.LastError == "" })
		if entries := l.gitlab.Statuses(commit).Entries; len(entries) != 1 {
			l.t.Errorf("GitLab has %d entries: %+v", len(entries), entries)
		}
		page(commit)
		l.looks(1) // it may just have been started
		l.mustRun(exitDone, []string{"all statuses delivered"}, "status", "--all")
		l.metric(`coin_agent_undelivered_reports{environment="sandbox",node="node3"} 0`)
	}

	l.step("GitLab is down", func() {
		l.gitlab.Inject(gitlabtest.Fault{Status: http.StatusServiceUnavailable, Times: -1})
		commit := l.commit("while GitLab is down", tag("2"))
		l.await(commit, record.Succeeded)
		l.until("undelivered", undelivered)
		l.mustRun(exitDone, []string{"5 reports not delivered", "503"}, "status")
		l.metric(`coin_agent_undelivered_reports{environment="sandbox",node="node3"} 5`)
		l.kill()
		l.start()
		l.until("still undelivered", undelivered)
		l.gitlab.Heal()
		delivered(commit)
	})
	l.step("GitLab hangs", func() {
		l.gitlab.Inject(gitlabtest.Fault{Hang: true, Times: -1})
		commit := l.commit("while GitLab hangs", tag("1"))
		l.await(commit, record.Succeeded)
		l.until("undelivered", func(s report.Status) bool { return s.GitLab.Undelivered == 5 })
		l.stop() // which must not wait for GitLab
		l.gitlab.Heal()
		l.start()
		delivered(commit)
	})
	l.step("the token has expired", func() {
		token := gitlabtest.Token{Name: "agent", User: gitlabtest.Agent(), Scopes: []string{"api"}, Expires: time.Now().Add(-time.Hour)}
		l.gitlab.SetToken(gitlabtest.Secret, token)
		commit := l.commit("with an expired token", tag("2"))
		l.await(commit, record.Succeeded)
		l.until("undelivered", undelivered)
		l.mustRun(exitDone, []string{"5 reports not delivered", "401", "Token is expired", "hint: write a valid token", l.gitlab.TokenFile}, "status")
		const renewed = "glpat-test-double-Secret2"
		token.Expires = time.Now().Add(30 * 24 * time.Hour)
		l.gitlab.SetToken(renewed, token)
		if err := os.WriteFile(l.gitlab.TokenFile, []byte(renewed+"\n"), 0o600); err != nil {
			l.t.Fatal(err)
		}
		delivered(commit)
		l.until("the new token's end", func(s report.Status) bool {
			return len(s.Tokens) == 1 && s.Tokens[0].Expires.Equal(token.Expires.UTC().Truncate(24*time.Hour))
		})
		l.mustRun(exitDone, []string{"tokens    gitlab_token_file: expires " + token.Expires.UTC().Format(time.DateOnly)}, "status", "--all")
		l.metric(`coin_agent_token_usable{environment="sandbox",node="node3",token="gitlab_token_file"} 1`)
		l.metric(fmt.Sprintf(`coin_agent_token_expires_timestamp_seconds{environment="sandbox",node="node3",token="gitlab_token_file"} %s`,
			strconv.FormatFloat(float64(token.Expires.UTC().Truncate(24*time.Hour).Unix()), 'g', -1, 64)))
		if strings.Contains(l.logText(), renewed) || strings.Contains(l.logText(), gitlabtest.Secret) {
			l.t.Error("the log shows a token")
		}
	})
}
