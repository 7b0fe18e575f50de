package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"coin.internal/coin-agent/examples/local"
)

const hookWord = "soak-hook-that-opens-nothing-at-all"

// server is the git server and the simulated GitLab that the agent asks. It counts the looks.
type server struct {
	*local.GitLab
	looks atomic.Int64  // that have begun: each lists git's refs once
	asked chan struct{} // has a signal after a request was answered, or a look has begun
}

// serve serves the repository below root, and the simulated GitLab's API.
func serve(ctx context.Context, root string) (s *server, err error) {
	s = &server{asked: make(chan struct{}, 1)}
	s.GitLab, err = local.ServeGitLab(ctx, root, s.counted)
	return s, err
}

// counted counts the looks among requests.
func (s *server) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.signal()
		if listsRefs(r) {
			s.looks.Add(1)
			s.signal()
		}
		next.ServeHTTP(w, r)
	})
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
