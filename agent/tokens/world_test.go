package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/tokens"
)

// world is a double of GitLab and a watch. Time passes only when all wait.
type world struct {
	*gitlabtest.Server
	t          *testing.T
	file, git  string // of the tokens
	saved      memory
	logs, told text
	over       text // what was told of tokens without problems
	watch      *tokens.Watch
	stop       func()
}

func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		w := &world{
			Server: gitlabtest.NewServer(gitlabtest.Config{}), t: t, saved: memory{}, stop: func() {},
			file: gitlabtest.TokenFile(t, gitlabtest.Secret), git: gitlabtest.TokenFile(t, "glpat-git"),
		}
		w.allow(gitlabtest.Token{Name: "agent"})
		w.SetToken("glpat-git", gitlabtest.Token{Name: "git", User: gitlabtest.Agent(), Scopes: []string{"read_repository"}})
		defer func() { w.stop() }()
		test(w)
		for _, text := range []string{w.logs.String(), w.told.String(), fmt.Sprint(w.saved, w.watch.States())} {
			if strings.Contains(text, gitlabtest.Secret) || strings.Contains(text, "glpat-git") {
				t.Errorf("a token is shown: %s", text)
			}
		}
	})
}

// allow sets the agent's token, by default with the scope and role that it needs.
func (w *world) allow(token gitlabtest.Token) {
	if token.Scopes == nil {
		token.Scopes = []string{"api"}
	}
	if token.User == (gitlabtest.User{}) {
		token.User = gitlabtest.Agent()
	}
	w.SetToken(gitlabtest.Secret, token)
}

func (w *world) use(setting, file string) tokens.Use {
	w.t.Helper()
	client, err := gitlab.New(gitlab.Options{
		URL: "http://localhost", Project: "coin/coin-gitops", TokenFile: file, TokenSetting: setting, Transport: direct{w.Server},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if setting == "git_token_file" {
		return tokens.Use{Setting: setting, File: file, GitLab: client, Scopes: []string{"read_repository", "api"}, Deploy: true}
	}
	return tokens.Use{Setting: setting, File: file, GitLab: client, Scopes: []string{"api"}, Role: gitlab.Developer}
}

// start starts an agent with the same state file, after it has stopped the one before.
func (w *world) start() {
	w.t.Helper()
	w.stop()
	var err error
	w.watch, err = tokens.New(tokens.Options{
		Uses: []tokens.Use{w.use("gitlab_token_file", w.file), w.use("git_token_file", w.git)}, Store: w.saved, Key: []byte("of the node"),
		Log: slog.New(slog.NewTextHandler(&w.logs, nil)),
		Tell: func(s tokens.State) error {
			to := &w.told
			if len(s.Problems) == 0 {
				to = &w.over
			}
			fmt.Fprintln(to, s.Setting, s.Problems)
			return nil
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.watch.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			w.t.Errorf("the watch ended with %v", err)
		}
		w.stop = func() {}
	}
	synctest.Wait()
}

func (w *world) write(file, secret string) {
	w.t.Helper()
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// asked gives how many requests came since the last call.
func (w *world) asked(before *int) int {
	now := len(w.Requests())
	defer func() { *before = now }()
	return now - *before
}

// memory is a state file.
type memory map[string]tokens.Known

func (m memory) Tokens() (map[string]tokens.Known, error) { return maps.Clone(m), nil }
func (m memory) SaveTokens(known map[string]tokens.Known) error {
	maps.Copy(m, known)
	return nil
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

// text is what was written by several goroutines.
type text struct {
	mu  sync.Mutex
	all strings.Builder
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all.String()
}

func (t *text) Len() int { return len(t.String()) }

func (t *text) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all.Reset()
}
