package fleet_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/fleet"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/internal/fault"
)

// TestWaitOutcomes waits for nodes whose statuses are there.
func TestWaitOutcomes(t *testing.T) {
	type status struct {
		state gitlab.State
		text  string
	}
	done, rolling := status{gitlab.Success, "unchanged since 0987654321"}, status{gitlab.Running, "rolling out"}
	failed := status{gitlab.Failed, "verify: web is unhealthy (fix it)"}
	approval := status{gitlab.Pending, "waiting for a user (approval): approval is required: !12 has 0 of 2"}
	ordered := status{gitlab.Pending, "waiting (order): waiting for node1"}
	none := status{}
	tests := []struct {
		name         string
		first, other status
		want         fleet.Outcome
		takes        time.Duration
		line         string // of node2
	}{
		{"all succeeded", done, done, fleet.AllDone, 0, "node2: succeeded: unchanged since 0987654321"},
		{"failed", done, failed, fleet.SomeFail, 0, "node2: failed: verify: web is unhealthy (fix it)"},
		{"failed and stopped", failed, ordered, fleet.SomeFail, 0, "node2: waiting (order): waiting for node1"},
		{"failed, another rolls out", rolling, failed, fleet.SomeFail, 2 * time.Minute, "node2: failed: verify: web is unhealthy (fix it)"},
		{"superseded", done, status{gitlab.Canceled, "superseded by 0987654321"}, fleet.SomeFail, 0, "node2: failed: superseded by 0987654321"},
		{"approval", done, approval, fleet.NeedsUser, 45 * time.Second, "node2: waiting for a user (approval): approval is required: !12 has 0 of 2"},
		{"approval, and another in order", approval, ordered, fleet.NeedsUser, 45 * time.Second, "node2: waiting (order): waiting for node1"},
		{"freeze", done, status{gitlab.Pending, "waiting (freeze): frozen until 10:00 UTC: holidays"}, fleet.NeedsUser, 45 * time.Second, "node2: waiting for a user (freeze): frozen until 10:00 UTC: holidays"},
		{"approval, another rolls out", rolling, approval, fleet.TooLate, 2 * time.Minute, "node2: waiting for a user (approval): approval is required: !12 has 0 of 2"},
		{"order alone", done, ordered, fleet.TooLate, 2 * time.Minute, "node2: waiting (order): waiting for node1"},
		{"about to", done, status{gitlab.Pending, "about to apply: 1 service to update"}, fleet.TooLate, 2 * time.Minute, "node2: rolling out: about to apply: 1 service to update"},
		{"no agent", done, none, fleet.TooLate, 2 * time.Minute, "node2: no status"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				for node, status := range map[string]status{"node1": test.first, "node2": test.other} {
					if status != none {
						w.post(node, status.state, status.text)
					}
				}
				w.post("node2/plan", gitlab.Failed, "a plan does not count")
				result, took := w.run(2 * time.Minute)
				if result.Outcome != test.want || took.Round(time.Second) != test.takes {
					t.Errorf("%s after %s", result.Outcome, took)
				}
				if last := w.lines[len(w.lines)-1]; last != test.line || len(w.lines) != 2 {
					t.Errorf("lines %q", w.lines)
				}
			})
		})
	}
}

// TestWaitFollows shows each change once. GitLab keeps the first words of a pending status, so a
// node that was approved still shows that it waits for it when the node before it is done.
func TestWaitFollows(t *testing.T) {
	inWorld(t, func(w *world) {
		const text = "waiting for a user (approval): approve"
		w.post("node2", gitlab.Pending, text)
		w.later(time.Minute, func() { w.post("node1", gitlab.Running, "rolling out") })
		w.later(2*time.Minute, func() { w.post("node1", gitlab.Success, "1 service updated") })
		w.later(2*time.Minute+30*time.Second, func() { w.post("node2", gitlab.Running, "rolling out") })
		w.later(4*time.Minute, func() { w.post("node2", gitlab.Success, "1 service updated") })
		if result, _ := w.run(time.Hour); result.Outcome != fleet.AllDone {
			t.Errorf("%+v", result)
		}
		w.wantLines("node1: no status", "node2: "+text, "node1: rolling out", "node1: succeeded: 1 service updated",
			"node2: rolling out", "node2: succeeded: 1 service updated")
	})
}

// TestWaitGitLabAway goes on through failures of GitLab, and asks no sooner than GitLab says.
func TestWaitGitLabAway(t *testing.T) {
	faults := map[string]gitlabtest.Fault{
		"slow down":         {Status: http.StatusTooManyRequests, RetryAfter: 20 * time.Second, Times: 3},
		"bad gateway":       {Status: http.StatusBadGateway, Times: 6},
		"away":              {Cut: true, Times: 6},
		"maintenance":       {Status: http.StatusServiceUnavailable, RetryAfter: time.Minute},
		"answer of a proxy": {Status: http.StatusInternalServerError, Body: "<html>", Times: 6},
	}
	for name, one := range faults {
		for _, path := range []string{"commits/master", "files/", "statuses"} {
			t.Run(name+" at "+path, func(t *testing.T) {
				inWorld(t, func(w *world) {
					w.post("node1", gitlab.Success, "")
					w.post("node2", gitlab.Success, "")
					one.Path = path
					w.Inject(one)
					before := len(w.Requests())
					result, took := w.run(15 * time.Minute)
					if result.Outcome != fleet.AllDone || result.Away != nil || took < 20*time.Second || took > 3*time.Minute {
						t.Errorf("%+v after %s", result, took)
					}
					if one.RetryAfter > 0 && took < one.RetryAfter*time.Duration(max(one.Times, 1)) {
						t.Errorf("asked after %s", took)
					}
					if asked := len(w.Requests()) - before; asked > 9 {
						t.Errorf("%d requests", asked)
					}
					w.wantLines("away", "node1: succeeded", "node2: succeeded", "back")
				})
			})
		}
	}
	t.Run("until the end", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.later(time.Minute, func() { w.Inject(gitlabtest.Fault{Hang: true, Times: -1}) })
			result, took := w.run(5 * time.Minute)
			if result.Outcome != fleet.TooLate || result.Away == nil || took != 5*time.Minute || len(result.Nodes) != 2 {
				t.Errorf("%+v after %s", result, took)
			}
		})
	})
}

// TestWaitRefuses ends at once where no retry helps.
func TestWaitRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(w *world)
		words  string
		hint   string
	}{
		{"unknown commit", func(w *world) { w.wait.Commit = "feedfeedfeed" }, "GitLab has no commit feedfeedfeed", "pushed to project"},
		{"unknown environment", func(w *world) { w.wait.Environment.Name = "testing" }, `no config.yml of environment "testing"`, "check the name of the environment"},
		{"no environment name", func(w *world) { w.wait.Environment.Name = "../x" }, `no config.yml of environment "../x"`, "check the name of the environment"},
		{"empty config.yml", func(w *world) { w.SetFile(commit, "environments/sandbox/config.yml", "x: 1\n") }, "config.yml", ""},
		{"expired token", func(w *world) {
			w.SetToken("glpat-ci", gitlabtest.Token{Expires: time.Now().Add(-time.Hour)})
		}, "Token is expired", "write a valid token"},
		{"other project", func(w *world) {
			w.SetToken("glpat-ci", gitlabtest.Token{User: gitlabtest.User{Name: "ci"}, Scopes: []string{"api"}})
		}, "404 Project Not Found", "member"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				test.change(w)
				_, err := w.wait.Run(w.t.Context())
				if err == nil || !strings.Contains(err.Error(), test.words) || !strings.Contains(fault.Hint(err), test.hint) {
					t.Errorf("%v, hint %q", err, fault.Hint(err))
				}
			})
		})
	}
	t.Run("interrupted", func(t *testing.T) {
		inWorld(t, func(w *world) {
			ctx, cancel := context.WithCancel(w.t.Context())
			w.later(time.Minute, cancel)
			if _, err := w.wait.Run(ctx); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	})
}

// TestWaitForgedStatus does not believe a user who is not an agent's.
func TestWaitForgedStatus(t *testing.T) {
	inWorld(t, func(w *world) {
		w.wait.Environment.Agents = []string{"coin-agent"}
		w.wait.Nodes = []string{"node1"}
		w.SetToken("glpat-eve", gitlabtest.Token{User: gitlabtest.User{ID: 9, Name: "Eve", Access: gitlabtest.Maintainer}, Scopes: []string{"api"}})
		w.postAs("glpat-eve", "node1", gitlab.Success, "trust me")
		w.later(20*time.Second, func() { w.post("node1", gitlab.Running, "rolling out") })
		w.later(30*time.Second, func() { w.postAs("glpat-eve", "node1", gitlab.Success, "trust me") })
		w.later(40*time.Second, func() { w.post("node1", gitlab.Failed, "verify: no") })
		if result, _ := w.run(time.Hour); result.Outcome != fleet.SomeFail {
			t.Errorf("%+v", result)
		}
		const ignored = "; the status success of eve does not count: gitlab_agents does not name this user"
		w.wantLines("node1: no status"+ignored, "node1: rolling out", "node1: rolling out"+ignored, "node1: failed: verify: no"+ignored)
	})
}

// TestWaitSkippedCommit ends for nodes that took a newer commit of the branch, and had no status
// on this one.
func TestWaitSkippedCommit(t *testing.T) {
	for branch, want := range map[string]fleet.Outcome{"master": fleet.SomeFail, "": fleet.TooLate, "other": fleet.TooLate} {
		t.Run("branch "+branch, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.wait.Branch, w.wait.Commit = branch, commit
				w.post("node1", gitlab.Success, "1 service updated")
				w.later(time.Minute, func() {
					w.AddCommit(newer, "master")
					_, err := w.as(gitlabtest.Secret).Post(w.t.Context(), gitlab.Report{
						Commit: newer, Ref: "master", Name: "coin-agent/sandbox/node2", State: gitlab.Running,
					}, 0)
					if err != nil {
						t.Error(err)
					}
				})
				result, took := w.run(10 * time.Minute)
				if result.Outcome != want || want == fleet.SomeFail && took > 2*time.Minute {
					t.Errorf("%s after %s: %+v", result.Outcome, took, result.Nodes)
				}
				if last := w.lines[len(w.lines)-1]; want == fleet.SomeFail && last != "node2: failed: took the newer commit abcdef7890 instead" {
					t.Errorf("lines %q", w.lines)
				}
			})
		})
	}
}

// TestWaitUnchangedAndPassed does not count a newer commit that a node took against it, if the one
// that is waited for changed nothing for it.
func TestWaitUnchangedAndPassed(t *testing.T) {
	inWorld(t, func(w *world) {
		w.post("node2", gitlab.Success, "")
		for _, sha := range []string{newer, newest} {
			w.AddCommit(sha, "master")
			w.SetFile(sha, "environments/sandbox/config.yml", config)
		}
		w.postAt(newer, "node1", gitlab.Success, "1 service updated")
		w.postAt(newest, "node2", gitlab.Running, "rolling out")
		w.wait.Commit, w.wait.Branch = newer, "master"
		w.wait.Same = func(string, string, string) bool { return true }
		if result, took := w.run(5 * time.Minute); result.Outcome != fleet.AllDone || took > 30*time.Second {
			t.Errorf("%s after %s: %q", result.Outcome, took, w.lines)
		}
	})
}

// TestWaitSettlesAfterAnOutage does not end with an approval that was given while GitLab was
// away for a minute: the node could not tell of it either.
func TestWaitSettlesAfterAnOutage(t *testing.T) {
	inWorld(t, func(w *world) {
		w.wait.Nodes = []string{"node1"}
		w.post("node1", gitlab.Pending, "waiting for a user (approval): approve")
		w.later(2*time.Second, func() { w.Inject(gitlabtest.Fault{Status: http.StatusBadGateway, Times: -1}) })
		w.later(time.Minute, w.Heal)
		w.later(90*time.Second, func() { w.post("node1", gitlab.Running, "rolling out") })
		w.later(2*time.Minute, func() { w.post("node1", gitlab.Success, "1 service updated") })
		if result, took := w.run(10 * time.Minute); result.Outcome != fleet.AllDone {
			t.Errorf("%s after %s", result.Outcome, took)
		}
		w.wantLines("node1: waiting for a user (approval): approve", "away", "back", "node1: rolling out", "node1: succeeded: 1 service updated")
	})
}

// TestWaitUnchanged ends for nodes whose agents spare the status of a commit that changes nothing
// for them, as far as it can see that.
func TestWaitUnchanged(t *testing.T) {
	const text = "node2: succeeded: its files are those of 1234567890, with which it succeeded"
	for name, test := range map[string]struct {
		same  func(node, earlier, commit string) bool
		state gitlab.State // of node2 at the commit before
		want  fleet.Outcome
	}{
		"unchanged":           {func(node, earlier, at string) bool { return node == "node2" && earlier == commit && at == newest }, gitlab.Success, fleet.AllDone},
		"other files":         {func(string, string, string) bool { return false }, gitlab.Success, fleet.TooLate},
		"it has failed":       {func(string, string, string) bool { return true }, gitlab.Failed, fleet.TooLate},
		"no clone":            {nil, gitlab.Success, fleet.TooLate},
		"no status before it": {func(string, string, string) bool { return true }, "", fleet.TooLate},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				for _, sha := range []string{newer, newest} {
					w.AddCommit(sha, "master")
					w.SetFile(sha, "environments/sandbox/config.yml", config)
				}
				if test.state != "" {
					w.post("node2", test.state, "")
				}
				w.postAt(newest, "node1", gitlab.Success, "1 service updated")
				w.wait.Commit, w.wait.Branch, w.wait.Same = "master", "master", test.same
				before := len(w.Requests())
				result, took := w.run(5 * time.Minute)
				if result.Outcome != test.want || test.want == fleet.AllDone && (took < 45*time.Second || took > time.Minute || w.lines[len(w.lines)-1] != text) {
					t.Errorf("%s after %s: %q", result.Outcome, took, w.lines)
				}
				if asked := len(w.Requests()) - before; asked > 5*60/5+30 {
					t.Errorf("%d requests", asked)
				}
			})
		})
	}
}
