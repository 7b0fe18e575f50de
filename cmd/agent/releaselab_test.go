package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/sync/gittest"
)

// releases is a repository of two environments with a node each, its GitLab, and a user's clone.
type releases struct {
	*gitlabtest.Instance
	t      *testing.T
	repo   *gittest.Repo // the user's clone
	bare   string
	client *gitlab.Client
}

const (
	fromNode = "environments/sandbox/nodes/node3/"
	toNode   = "environments/testing/nodes/test1/"
)

func newReleases(t *testing.T) *releases {
	t.Helper()
	root := t.TempDir()
	r := &releases{Instance: gitlabtest.New(t), t: t, repo: gittest.New(t), bare: filepath.Join(root, "coin-gitops.git")}
	compose := func(port, command string) string {
		return "services:\n  web:\n    image: web:$TAG\n    ports: ['" + port + ":80']\n\n    command: " + command + "\n"
	}
	r.repo.Commit("First", map[string]string{
		"environments/sandbox/config.yml":         "environment: {name: sandbox, type: non-production}\nnodes:\n  - {name: node3, context: c3, stack: app3}\n",
		"environments/testing/config.yml":         "environment: {name: testing, type: non-production}\nnodes:\n  - {name: test1, context: t1, stack: app1}\napproval: {required: true, approvers: [ada], change_advisory_board: true}\n",
		"environments/sandbox/common/project.env": "LOG_LEVEL=debug\n",
		"environments/testing/common/project.env": "LOG_LEVEL=info\n",
		fromNode + "docker-compose.yml":           compose("80", "serve"), fromNode + "node.env": "TAG=2025-12-05-ecacdc6c25\n",
		toNode + "docker-compose.yml": compose("8080", "serve"), toNode + "node.env": "TAG=2025-12-05-ecacdc6c25\n",
	})
	r.repo.Commit("Second", map[string]string{
		fromNode + "docker-compose.yml": compose("80", "serve --fast"), fromNode + "node.env": "TAG=2025-12-15-11eeef9e99\n",
		"environments/sandbox/common/project.env": "LOG_LEVEL=debug\nDB_TIMEOUT=30\n",
	})
	r.repo.Git("config", "user.name", "Grace Operator")
	r.repo.Git("config", "user.email", "grace@coin.example")
	r.repo.Git("clone", "--quiet", "--bare", r.repo.Dir, r.bare)
	served := gittest.HTTP(t, root, gittest.Options{Token: gitlabtest.Secret})
	r.repo.Git("remote", "add", "origin", served.URL+"/coin-gitops.git")
	r.SetTips(func(branch string) string {
		out, err := exec.Command("git", "--git-dir", r.bare, "rev-parse", "--verify", "--quiet", "refs/heads/"+branch).Output()
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	})
	r.pushed()
	var err error
	if r.client, err = gitlab.New(gitlab.Options{URL: r.URL, Project: "coin/coin-gitops", TokenFile: r.TokenFile}); err != nil {
		t.Fatal(err)
	}
	return r
}

// pushed pushes the branch that is checked out to master, as a merge does.
func (r *releases) pushed() {
	r.t.Helper()
	r.repo.Git("push", "--quiet", r.bare, "HEAD:master")
	head := r.repo.Head()
	r.AddCommit(head, "master")
	for _, environment := range []string{"sandbox", "testing"} {
		file := "environments/" + environment + "/config.yml"
		r.SetFile(head, file, r.repo.Git("show", "HEAD:"+file)+"\n")
	}
}

// post posts the status of a node of sandbox.
func (r *releases) post(state gitlab.State, text string) {
	r.t.Helper()
	_, err := r.client.Post(r.t.Context(), gitlab.Report{Commit: r.repo.Head(), Ref: "master", Name: "coin-agent/sandbox/node3", State: state, Description: text}, 0)
	if err != nil {
		r.t.Fatal(err)
	}
}

// agent runs a command in the clone, and wants an exit code and texts.
func (r *releases) agent(code int, line string, texts ...string) string {
	r.t.Helper()
	return r.command(code, line+" --git-token-file "+r.TokenFile+" --repo "+r.repo.Dir, texts...)
}

// command runs a command, and wants an exit code and texts.
func (r *releases) command(code int, line string, texts ...string) string {
	r.t.Helper()
	var out, errs strings.Builder
	args := append(strings.Fields(line), "--gitlab-url", r.URL, "--gitlab-project", "coin/coin-gitops",
		"--gitlab-token-file", r.TokenFile)
	got := run(r.t.Context(), args, &out, &errs)
	all := out.String() + errs.String()
	if got != code {
		r.t.Errorf("agent %s: exit %d, want %d:\n%s", line, got, code, all)
	}
	for _, text := range texts {
		if !strings.Contains(all, text) {
			r.t.Errorf("agent %s: no %q in\n%s", line, text, all)
		}
	}
	return all
}
