package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/internal/waitfor"
)

// pipeline is the job of a pipeline: a shell with the built agent, a token and the variables
// that GitLab sets. Statuses of four nodes come from agents with users of their own.
type pipeline struct {
	t      *testing.T
	gitlab *gitlabtest.Instance
	commit string
	env    []string
	dir    string

	mu     sync.Mutex
	output bytes.Buffer
}

var fourNodes = []string{"node1", "node2", "node3", "node4"}

func newPipeline(t *testing.T) *pipeline {
	t.Helper()
	p := &pipeline{t: t, gitlab: gitlabtest.New(t), commit: "1234567890abcdef1234567890abcdef12345678", dir: t.TempDir()}
	p.gitlab.SetToken("glpat-ci", gitlabtest.Token{Name: "ci", User: gitlabtest.User{ID: 300, Name: "ci", Access: gitlabtest.Reporter}, Scopes: []string{"read_api"}})
	p.gitlab.AddCommit(p.commit, "master")
	config := "environment: {name: sandbox, type: non-production}\nnodes:\n"
	for i, node := range fourNodes {
		config += fmt.Sprintf("  - {name: %s, context: c%d, stack: s%d}\n", node, i, i)
		p.gitlab.SetToken("glpat-"+node, gitlabtest.Token{User: gitlabtest.User{ID: int64(400 + i), Name: "agent-" + node, Access: gitlabtest.Maintainer}, Scopes: []string{"api"}})
	}
	p.gitlab.SetFile(p.commit, "environments/sandbox/config.yml", config)
	p.env = append(p.env, "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"), "HOME="+p.dir, "TMPDIR="+p.dir, "TZ=UTC",
		"CI_SERVER_URL="+p.gitlab.URL, "CI_PROJECT_PATH=coin/coin-gitops", "CI_COMMIT_SHA="+p.commit,
		"COIN_AGENT_GITLAB_TOKEN_FILE="+gitlabtest.TokenFile(t, "glpat-ci"))
	return p
}

// post posts a status as an agent does.
func (p *pipeline) post(node string, state gitlab.State, description string) {
	p.t.Helper()
	client, err := gitlab.New(gitlab.Options{URL: p.gitlab.URL, Project: "coin/coin-gitops", TokenFile: gitlabtest.TokenFile(p.t, "glpat-"+node)})
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := client.Post(p.t.Context(), gitlab.Report{
		Commit: p.commit, Ref: "master", Name: "coin-agent/sandbox/" + node, State: state, Description: description,
	}, 0); err != nil {
		p.t.Fatal(err)
	}
}

// start starts a script, and gives what waits for its exit code.
func (p *pipeline) start(script string) (wait func() int) {
	p.t.Helper()
	command := p.shell(script)
	command.Stdout = lockedWriter{&p.mu, &p.output}
	command.Stderr = command.Stdout
	if err := command.Start(); err != nil {
		p.t.Fatal(err)
	}
	return func() int {
		err := command.Wait()
		var failed *exec.ExitError
		if err != nil && !errors.As(err, &failed) {
			p.t.Fatal(err)
		}
		return command.ProcessState.ExitCode()
	}
}

func (p *pipeline) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// shows waits for words in the output.
func (p *pipeline) shows(words string) {
	p.t.Helper()
	waitfor.NoError(p.t, patience, func() error {
		if text := p.text(); !strings.Contains(text, words) {
			return fmt.Errorf("no %q in %s", words, text)
		}
		return nil
	})
}

func (p *pipeline) want(code, wanted int, words ...string) {
	p.t.Helper()
	text := p.text()
	if code != wanted {
		p.t.Errorf("exit code %d, want %d", code, wanted)
	}
	for _, one := range words {
		if !strings.Contains(text, one) {
			p.t.Errorf("no %q", one)
		}
	}
	if p.t.Failed() {
		p.t.Logf("output:\n%s", text)
	}
	if strings.Contains(text, "glpat-") {
		p.t.Errorf("the token is in the output")
	}
}

// timesOut runs a script whose job does not come to an end, and wants words. On a busy machine the
// time may be over before the job has read all: then it gets more of it.
func (p *pipeline) timesOut(script func(limit time.Duration) string, words ...string) {
	p.t.Helper()
	limit := time.Second
	for {
		before := len(p.text())
		code := p.start(script(limit))()
		said := p.text()[before:]
		if limit > patience || !slices.ContainsFunc(words, func(one string) bool { return !strings.Contains(said, one) }) {
			p.want(code, exitTimeout, words...)
			return
		}
		limit *= 4
	}
}

// limited is a script of a template with another time limit, after lines of shell.
func limited(lines, script string) func(limit time.Duration) string {
	return func(limit time.Duration) string { return fmt.Sprintf("%sAGENT_TIMEOUT=%s\n%s", lines, limit, script) }
}

const waitScript = "agent wait --environment sandbox --poll 1s --settle 3s --timeout "

// TestWaitInPipeline waits for four nodes by the built agent in the script of a job.
func TestWaitInPipeline(t *testing.T) {
	t.Parallel()
	t.Run("success", func(t *testing.T) {
		p := newPipeline(t)
		wait := p.start(waitScript + "5m\necho rolled out everywhere")
		p.shows("node4: no status")
		for i, node := range fourNodes {
			if i > 0 {
				p.post(node, gitlab.Pending, "waiting (order): waiting for "+fourNodes[i-1])
			}
			p.post(node, gitlab.Running, "rolling out")
			p.shows(node + ": rolling out\n")
			p.post(node, gitlab.Success, "unchanged since 0987654321")
		}
		p.want(wait(), 0, "node1: succeeded: unchanged since 0987654321\n", "node4: succeeded", "rolled out everywhere\n")
	})
	t.Run("failure", func(t *testing.T) {
		p := newPipeline(t)
		wait := p.start(waitScript + "5m")
		p.post("node1", gitlab.Success, "1 service updated")
		p.post("node3", gitlab.Pending, "waiting (order): waiting for node2")
		p.post("node4", gitlab.Pending, "waiting (order): waiting for node3")
		p.post("node2", gitlab.Failed, "verify: web is unhealthy\x1b[2J (`agent logs web --failed`)")
		p.want(wait(), exitError, `agent: error: node2: failed: verify: web is unhealthy`, "agent logs web --failed")
		if strings.Contains(p.text(), "\x1b") {
			t.Error("the description controls the terminal")
		}
	})
	t.Run("approval", func(t *testing.T) {
		p := newPipeline(t)
		for _, node := range fourNodes {
			p.post(node, gitlab.Pending, "waiting for a user (approval): approval is required: !12 has 0 of 2 approvals")
		}
		wait := p.start("code=0; " + waitScript + "5m || code=$?\n[ $code = 3 ] && exit 42")
		p.want(wait(), 42, "node4: waiting for a user (approval): approval is required: !12 has 0 of 2 approvals", "agent: error: node1: waiting for a user (approval)")
	})
	t.Run("timeout", func(t *testing.T) {
		p := newPipeline(t)
		p.post("node1", gitlab.Success, "")
		p.post("node2", gitlab.Running, "rolling out")
		p.timesOut(func(limit time.Duration) string {
			return waitScript + limit.String() + " --node node1 --node node2,node3"
		},
			"agent: error: the nodes did not end within ", "node2: rolling out", "node3: no status", "agent doctor")
		if strings.Contains(p.text(), "node4") {
			t.Error("it waits for a node that is not named")
		}
	})
	t.Run("GitLab away", func(t *testing.T) {
		p := newPipeline(t)
		p.gitlab.Inject(gitlabtest.Fault{Status: http.StatusTooManyRequests, RetryAfter: 2 * time.Second})
		wait := p.start(waitScript + "5m")
		p.shows("node4: no status")
		p.gitlab.Inject(gitlabtest.Fault{Cut: true, Times: -1})
		p.shows("asking again until the time is over")
		p.gitlab.Heal()
		for _, node := range fourNodes {
			p.post(node, gitlab.Success, "1 service updated")
		}
		p.want(wait(), 0, "agent: warning: ", "GitLab answers again", "node4: succeeded: 1 service updated")
	})
	t.Run("wrong use", func(t *testing.T) {
		for script, words := range map[string]string{
			"agent wait": "name the environment with --environment",
			"CI_COMMIT_SHA= agent wait --environment x":     "name the commit with --commit",
			"CI_PROJECT_PATH= " + waitScript + "1m":         "set --gitlab-project",
			waitScript + "0s":                               "--timeout must be positive",
			waitScript + "1m node3":                         "unknown command",
			waitScript + "1m --host https://node3.internal": "not with --host",
		} {
			p := newPipeline(t)
			p.want(p.start(script)(), exitUsage, words)
		}
	})
}
