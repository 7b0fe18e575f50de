package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/internal/waitfor"
)

// tinyRepo is a repository whose node starts in a moment.
func (l *lab) tinyRepo() map[string]string {
	files := l.smallRepo()
	files[composeFile] = inBridge + "services:\n  web:\n    image: coin-test/app:$TAG\n    " + quickly + "\n"
	delete(files, node3+"secrets.enc")
	delete(files, node3+"secrets.override.enc")
	return files
}

// noManager is an engine outside a Swarm; it gives its address.
func noManager(t *testing.T, l *lab) string {
	t.Helper()
	return serveSocket(t, l.dir+"/engine.sock", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Api-Version", "1.41")
		switch {
		case strings.HasSuffix(r.URL.Path, "/_ping"):
		case strings.HasSuffix(r.URL.Path, "/info"):
			_, _ = w.Write([]byte(`{"ServerVersion": "20.10.24", "Swarm": {"LocalNodeState": "inactive"}}`))
		case strings.HasSuffix(r.URL.Path, "/networks"):
			_, _ = w.Write([]byte(`[]`))
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"message": "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again."}`))
		}
	})
}

// TestEngineIsNoManager starts the agent on an engine outside a Swarm: it says
// so everywhere, tries again, and goes on by itself once the engine is one.
func TestEngineIsNoManager(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	manager := l.settings["engine"]
	l.settings["engine"] = noManager(t, l)
	sha := l.commit("first", l.tinyRepo())
	l.start()
	status := l.await(sha, record.Failed)
	if !status.Sync.Transient {
		t.Error("it is not tried again")
	}
	want := []said{{"the engine at " + l.settings["engine"] + " is not part of a Swarm", "docker swarm init"}}
	if code, _, errs := l.command("diff"); code != exitError {
		t.Errorf("diff: exit %d", code)
	} else {
		told(t, "diff", errs, want, "agent: error: ", "agent: hint: ")
	}
	var code int
	var out string
	waitfor.NoError(t, patience, func() error { // between two attempts it is pending again
		if code, out, _ = l.command("status"); !strings.Contains(out, " failed at plan\n") {
			return errors.New(out)
		}
		return nil
	})
	told(t, "status", out, want, "plan: ", "hint: ")
	if code != exitDifferent || !strings.Contains(out, "it is tried again automatically") || strings.Count(out, "is not part of a Swarm") != 1 {
		t.Errorf("status: exit %d: %s", code, out)
	}
	l.posts(sha, "pending")
	if got := l.gitlab.Statuses(sha).Posts[0].Description; !strings.HasPrefix(got, "plan: "+want[0].text) || !strings.Contains(got, want[0].hint) {
		t.Errorf("GitLab shows %q", got)
	}

	l.stop()
	code, _, errs := l.command("sync", "--once")
	told(t, "sync --once", errs, want, "agent: error: master "+short(sha)+": plan: ", "agent: hint: ")
	if code != exitError {
		t.Errorf("sync --once: exit %d", code)
	}
	l.settings["engine"] = manager
	l.start()
	l.await(sha, record.Succeeded)
	l.posts(sha, "success")
}

// TestRemoteTrouble takes the git remote away and expires tokens: the agent says
// so, keeps what runs, and follows again when it can.
func TestRemoteTrouble(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.settings["git_token_file"] = gitlabtest.TokenFile(t, "glpat-of-git")
	sha := l.commit("first", l.tinyRepo())
	l.start()
	l.await(sha, record.Succeeded)
	before := l.versions()
	for _, test := range []struct {
		name string
		code int
		want said
	}{
		{"remote gone", http.StatusBadGateway, said{"the remote is not available, HTTP status 502 Bad Gateway", "tries again"}},
		{"token expired", http.StatusUnauthorized, said{"the remote refuses the token, HTTP status 401 Unauthorized", "write a valid token"}},
		{"repository gone", http.StatusNotFound, said{"the repository does not exist, HTTP status 404 Not Found", "check the URL"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l.git.Fail(test.code)
			defer l.git.Fail(0)
			l.remoteTrouble(t, test.want)
		})
	}
	next := l.commit("next", map[string]string{"README.md": "the remote is back"})
	if code, _, errs := l.command("sync", "--wait"); code != exitDone {
		t.Errorf("sync --wait: exit %d: %s", code, errs)
	}
	l.await(next, record.Succeeded)
	t.Run("nobody listens", func(t *testing.T) {
		l.settings["repository"] = "http://127.0.0.1:1/repo"
		code, _, errs := l.command("diff")
		told(t, "diff", errs, []said{{"connection refused", "check that the remote is up"}}, "agent: error: ", "agent: hint: ")
		if code != exitError {
			t.Errorf("exit %d", code)
		}
	})
	if fmt.Sprint(before) != fmt.Sprint(l.versions()) {
		t.Errorf("services changed: %v, %v", before, l.versions())
	}
}

func (l *lab) remoteTrouble(t *testing.T, want said) {
	t.Helper()
	for _, command := range []string{"sync --wait", "diff", "sync --dry-run"} {
		code, out, errs := l.command(strings.Fields(command)...)
		told(t, command, errs, []said{want}, "agent: error: ", "agent: hint: ")
		if code != exitError || strings.Contains(out+errs, "glpat") {
			t.Errorf("%s: exit %d: %s%s", command, code, out, errs)
		}
	}
	code, out, _ := l.command("status")
	told(t, "status", out, []said{want}, "looking ", "hint: ")
	if code != exitDifferent || !strings.Contains(out, "last look failed") {
		t.Errorf("status: exit %d: %s", code, out)
	}
}

// TestGitLabTokenExpired lets GitLab's token expire: rollouts go on, the status
// says what to do, and a new token brings out what was held back.
func TestGitLabTokenExpired(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.gitlab.SetToken(gitlabtest.Secret, gitlabtest.Token{User: gitlabtest.Agent(), Scopes: []string{"api"}, Expires: time.Now().Add(-time.Hour)})
	sha := l.commit("first", l.tinyRepo())
	l.start()
	l.await(sha, record.Succeeded)
	status := l.until("all reports are held back", func(s report.Status) bool { return s.GitLab.LastError != "" && s.GitLab.Undelivered == 5 })
	want := said{"Token is expired", "write a valid token with the scope api into gitlab_token_file (" + l.settings["gitlab_token_file"] + ")"}
	if health := status.GitLab; !strings.Contains(health.LastError, want.text) || !strings.Contains(health.Hint, want.hint) {
		t.Errorf("GitLab's health: %+v", health)
	}
	l.until("the services are seen", func(s report.Status) bool { return s.Unknown == nil && s.InSync })
	code, out, _ := l.command("status")
	told(t, "status", out, []said{want}, "read the token's information: ", "hint: ")
	if code != exitDone || !strings.Contains(out, "5 reports not delivered") {
		t.Errorf("status: exit %d: %s", code, out)
	}
	l.gitlab.SetToken(gitlabtest.Secret, gitlabtest.Token{User: gitlabtest.Agent(), Scopes: []string{"api"}})
	l.stop()
	l.start()
	l.posts(sha, "success")
}
