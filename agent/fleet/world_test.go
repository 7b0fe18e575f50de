package fleet_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/fleet"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

const (
	commit = "1234567890abcdef1234567890abcdef12345678"
	newest = "fedcba9876543210fedcba9876543210fedcba98"
)

const config = `environment: {name: sandbox, type: non-production}
nodes:
  - {name: node1, context: c1, stack: s1}
  - {name: node2, context: c2, stack: s2}
`

// world is a double of GitLab, and the agents' posts to it. Time passes only when all wait.
type world struct {
	*gitlabtest.Server
	t      *testing.T
	client *gitlab.Client
	wait   fleet.Wait
	lines  []string
}

func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		w := &world{Server: gitlabtest.NewServer(gitlabtest.Config{}), t: t}
		w.SetToken(gitlabtest.Secret, gitlabtest.Token{Name: "agent", User: gitlabtest.Agent(), Scopes: []string{"api"}})
		w.SetToken("glpat-ci", gitlabtest.Token{Name: "ci", User: gitlabtest.User{ID: 300, Name: "ci", Access: gitlabtest.Reporter}, Scopes: []string{"read_api"}})
		w.AddCommit(commit, "master")
		w.SetFile(commit, "environments/sandbox/config.yml", config)
		w.client = w.as("glpat-ci")
		w.wait = fleet.Wait{
			GitLab: w.client, Environment: fleet.Environment{Name: "sandbox"}, Commit: "master",
			Every: 5 * time.Second, Settle: 45 * time.Second,
			Changed: func(n fleet.Node) { w.lines = append(w.lines, n.Name+": "+n.Line()) },
			Away: func(err error) {
				text := "back"
				if err != nil {
					text = "away"
				}
				w.lines = append(w.lines, text)
			},
		}
		test(w)
	})
}

// as gives a client with another token.
func (w *world) as(secret string) *gitlab.Client {
	w.t.Helper()
	client, err := gitlab.New(gitlab.Options{
		URL: "http://localhost", Project: "coin/coin-gitops", TokenFile: gitlabtest.TokenFile(w.t, secret), Transport: direct{w.Server},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

// post posts a status as a node's agent does.
func (w *world) post(node string, state gitlab.State, description string) {
	w.t.Helper()
	w.postAs(gitlabtest.Secret, node, state, description)
}

func (w *world) postAs(secret, node string, state gitlab.State, description string) {
	w.t.Helper()
	w.postTo(secret, commit, node, state, description)
}

// postAt posts a status of another commit.
func (w *world) postAt(commit, node string, state gitlab.State, description string) {
	w.t.Helper()
	w.postTo(gitlabtest.Secret, commit, node, state, description)
}

func (w *world) postTo(secret, commit, node string, state gitlab.State, description string) {
	w.t.Helper()
	_, err := w.as(secret).Post(w.t.Context(), gitlab.Report{
		Commit: commit, Ref: "master", Name: "coin-agent/sandbox/" + node, State: state, Description: description,
	}, 0)
	if err != nil {
		w.t.Error(err)
	}
}

// run waits for at most some time, and gives the result and how long it took.
func (w *world) run(timeout time.Duration) (fleet.Result, time.Duration) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), timeout)
	defer cancel()
	start := time.Now()
	result, err := w.wait.Run(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	return result, time.Since(start)
}

// later acts after a time.
func (w *world) later(after time.Duration, act func()) { time.AfterFunc(after, act) }

func (w *world) wantLines(want ...string) {
	w.t.Helper()
	if !slices.Equal(w.lines, want) {
		w.t.Errorf("got lines\n%s\nwant\n%s", strings.Join(w.lines, "\n"), strings.Join(want, "\n"))
	}
}

// direct carries requests to a server without a network.
type direct struct{ to http.Handler }

func (d direct) RoundTrip(r *http.Request) (answer *http.Response, err error) {
	defer func() {
		if cut := recover(); cut != nil {
			answer, err = nil, fmt.Errorf("the connection ended: %w", io.ErrUnexpectedEOF)
		}
	}()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	r.RequestURI = r.URL.RequestURI()
	recorder := httptest.NewRecorder()
	d.to.ServeHTTP(recorder, r)
	return recorder.Result(), nil
}
