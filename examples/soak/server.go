package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/sync/gittest"
)

const (
	project  = "coin/coin-gitops"
	token    = "soak-token-that-opens-nothing"
	hookWord = "soak-hook-that-opens-nothing-at-all"
)

// server is the git server and the simulated GitLab that the agent asks. It counts the looks.
type server struct {
	*gitlabtest.Server
	url   string
	looks atomic.Int64  // that have begun: each lists git's refs once
	asked chan struct{} // has a signal after a request was answered, or a look has begun
	http  *http.Server
}

// serve serves the repository in root, and the simulated GitLab's API.
func serve(root string, branches func(string) ([]string, bool), tips func(string) string) (*server, error) {
	s := &server{Server: gitlabtest.NewServer(gitlabtest.Config{Project: project, Branches: branches}), asked: make(chan struct{}, 1)}
	s.SetTips(tips)
	s.SetToken(token, gitlabtest.Token{
		Name: "coin-agent", Scopes: []string{"api", "read_repository"}, Expires: time.Now().AddDate(0, 6, 0),
		User: gitlabtest.User{ID: 42, Name: "coin-agent", Access: gitlabtest.Maintainer},
	})
	git, err := gittest.Handler(root, gittest.Options{Token: token})
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serve git and the simulated GitLab: %w", err)
	}
	s.url = "http://" + listener.Addr().String()
	s.http = &http.Server{
		ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer s.signal()
			if !strings.HasPrefix(r.URL.Path, "/"+project+"/") {
				s.ServeHTTP(w, r)
				return
			}
			if listsRefs(r) {
				s.looks.Add(1)
				s.signal()
			}
			git.ServeHTTP(w, r)
		}),
	}
	go func() { _ = s.http.Serve(listener) }()
	return s, nil
}

// listsRefs reports whether a request asks git for refs, by version 2 of its protocol. A look does so
// once; what greets the server does not.
func listsRefs(r *http.Request) bool {
	if r.Method != http.MethodPost {
		return false
	}
	var start bytes.Buffer
	_, _ = io.CopyN(&start, r.Body, 1<<10) // a shorter body has all in it; the server meets its error
	whole := io.MultiReader(bytes.NewReader(start.Bytes()), r.Body)
	r.Body = struct {
		io.Reader
		io.Closer
	}{whole, r.Body}
	return bytes.Contains(start.Bytes(), []byte("command=ls-refs"))
}

func (s *server) signal() {
	select {
	case s.asked <- struct{}{}:
	default:
	}
}

// patience is how long nothing may happen.
const patience = 3 * time.Minute

// until waits until is reports true. It asks after each request of the agent.
func (s *server) until(ctx context.Context, what string, ended <-chan struct{}, is func() bool) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for !is() {
		select {
		case <-s.asked:
		case <-ended:
			return errors.New("the agent ended unexpectedly")
		case <-timer.C:
			return fmt.Errorf("wait for %s: it takes more than %s", what, patience)
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		}
	}
	return nil
}

// succeeded reports whether GitLab has heard that the sync of a commit succeeded; the error
// says that it failed.
func (s *server) succeeded(commit string) bool {
	posts := s.Statuses(commit).Posts
	return len(posts) > 0 && posts[len(posts)-1].State != "running" && posts[len(posts)-1].State != "pending"
}
