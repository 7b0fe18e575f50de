package gitlab_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

// TestLinks wants each status to link to a page that GitLab has: the commit's deployment, once there
// is one.
func TestLinks(t *testing.T) {
	const root = "/coin/coin-gitops/-/environments/"
	for name, test := range map[string]struct {
		project string
		old     bool
		base    string
		want    string // of a status after the deployment has begun
		reads   int
	}{
		"path":   {"coin/coin-gitops", false, "http://localhost", root + "2/deployments/2", 1},
		"number": {"7", false, "https://gitlab.coin.example", root + "2/deployments/2", 2},
		"old":    {"coin/coin-gitops", true, "http://localhost", root + "2", 1},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.project = test.project
				w.restart()
				links := gitlab.NewLinks(w.client, w.store, "sandbox")
				w.outbox.Link = links.Of
				if test.old {
					w.BeOld()
				}
				other := step(gitlab.Running)
				other.Environment, other.URL = "sandbox/node4", ""
				w.deploy(other)
				w.run()
				w.settled(0)
				before := len(w.Requests())
				linked := func(want string, report gitlab.Report) {
					t.Helper()
					w.enqueue(report)
					w.settled(0)
					entries := w.Statuses(commit).Entries
					link := entries[len(entries)-1].TargetURL
					if link == nil || *link != test.base+want {
						t.Fatalf("%s links to %v, want %s", report.State, link, test.base+want)
					}
					if !w.HasPage(strings.TrimPrefix(want, "/coin/coin-gitops")) {
						t.Errorf("%s: there is no page %s", report.State, want)
					}
				}
				linked(root+"folders/sandbox", report(gitlab.Pending, "waiting"))
				w.deploy(step(gitlab.Running))
				linked(test.want, report(gitlab.Running, ""))
				w.deploy(step(gitlab.Success))
				linked(test.want, report(gitlab.Success, "done"))
				if n, gets := len(w.Requests())-before, w.requests(http.MethodGet); n > 8 || gets > test.reads {
					t.Errorf("%d requests for a sync, %d of them to find the page", n, gets)
				}
			})
		})
	}
}

// TestLinksWithoutAnswer sends a status also while GitLab does not tell its version or the project.
func TestLinksWithoutAnswer(t *testing.T) {
	for path, test := range map[string]struct{ project, want string }{
		"version":    {"coin/coin-gitops", "http://localhost/coin/coin-gitops/-/environments/1"},
		"projects/7": {"7", ""},
	} {
		inWorld(t, func(w *world) {
			w.project = test.project
			w.restart()
			w.outbox.Link = gitlab.NewLinks(w.client, w.store, "sandbox").Of
			w.Inject(gitlabtest.Fault{Method: http.MethodGet, Path: path, Status: http.StatusBadGateway, Times: -1})
			w.deploy(step(gitlab.Running))
			w.run()
			w.enqueue(report(gitlab.Success, "done"))
			w.settled(time.Second)
			entry := w.Statuses(commit).Entries[0]
			if link := entry.TargetURL; link == nil && test.want != "" || link != nil && *link != test.want {
				t.Errorf("%s: %+v", path, entry)
			}
		})
	}
}
