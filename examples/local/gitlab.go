package local

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/sync/gittest"
)

// Project is the project of the simulated GitLab, and Token what opens it.
const (
	Project = "coin/coin-gitops"
	Token   = "example-token-that-opens-nothing"
)

// GitLab is the simulated GitLab with one project, whose repository it serves over HTTP.
type GitLab struct {
	*gitlabtest.Server
	URL string

	Close func() error
}

// ServeGitLab serves a repository in root/Project, and the API of its project. around, which may be
// nil, sees all requests.
func ServeGitLab(ctx context.Context, root string, around func(http.Handler) http.Handler) (*GitLab, error) {
	repository := &Repository{Dir: filepath.Join(root, Project)}
	double := gitlabtest.NewServer(gitlabtest.Config{Project: Project, Branches: repository.branches(ctx)})
	double.SetTips(repository.tips(ctx))
	double.SetToken(Token, gitlabtest.Token{
		Name: "coin-agent", Scopes: []string{"api", "read_repository"}, Expires: time.Now().AddDate(0, 6, 0),
		User: gitlabtest.User{ID: 42, Name: "coin-agent", Access: gitlabtest.Maintainer},
	})
	git, err := gittest.Handler(root, gittest.Options{Token: Token})
	if err != nil {
		return nil, err
	}
	var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/"+Project+"/") {
			git.ServeHTTP(w, r)
			return
		}
		double.ServeHTTP(w, r)
	})
	if around != nil {
		handler = around(handler)
	}
	g := &GitLab{Server: double}
	g.URL, g.Close, err = Serve(handler)
	return g, err
}

// Clone gives the address of the repository.
func (g *GitLab) Clone() string { return g.URL + "/" + Project }
