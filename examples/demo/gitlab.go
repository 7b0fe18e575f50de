package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/sync/gittest"
)

const (
	project = "coin/coin-gitops"
	token   = "demo-token-that-opens-nothing"
)

// gitlab simulates GitLab: git over HTTP, commit statuses, and a web page.
type gitlab struct {
	*gitlabtest.Server
	url string
}

// startGitLab serves the repositories below root and the simulated GitLab API.
func (w *world) startGitLab(ctx context.Context, root string) error {
	double := gitlabtest.NewServer(gitlabtest.Config{Project: project, Branches: w.repo.branches(ctx)})
	double.SetToken(token, gitlabtest.Token{
		Name: "coin-agent", Scopes: []string{"api", "read_repository"}, Expires: time.Now().AddDate(0, 6, 0),
		User: gitlabtest.User{ID: 42, Name: "coin-agent", Access: gitlabtest.Maintainer},
	})
	git, err := gittest.Handler(root, gittest.Options{Token: token})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("serve git and the simulated GitLab: %w", err)
	}
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(out http.ResponseWriter, request *http.Request) {
			if strings.HasPrefix(request.URL.Path, "/"+project+"/") {
				git.ServeHTTP(out, request)
				return
			}
			double.ServeHTTP(out, request)
		}),
	}
	go func() { _ = server.Serve(listener) }()
	w.later("stop the git server and the simulated GitLab", func(context.Context) error { return server.Close() })
	w.gitlab = &gitlab{Server: double, url: "http://" + listener.Addr().String()}
	return nil
}

// cloneURL returns the URL to clone from and push to.
func (g *gitlab) cloneURL() string {
	return strings.Replace(g.url, "http://", "http://oauth2:"+token+"@", 1) + "/" + project
}

// showStatuses prints the commit statuses in GitLab.
func (w *world) showStatuses(sha string) {
	w.say.line("\nThe statuses of commit %s in GitLab:", short(sha))
	rows := [][]string{}
	for _, post := range w.gitlab.Statuses(sha).Posts {
		rows = append(rows, []string{post.Time.Local().Format("15:04:05.0"), post.State, post.Name, post.Description})
	}
	w.say.table(rows)
}

func short(commit string) string { return commit[:min(10, len(commit))] }
