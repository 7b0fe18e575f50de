package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/sync/gittest"
)

// job is a job of a template.
type job struct {
	Stage, Image string
	Script       []string
	Variables    map[string]string
	Rules        []struct {
		If, When     string
		AllowFailure bool `yaml:"allow_failure"`
	}
	Retry struct {
		Max  int
		When []string
	}
	AllowFailure any `yaml:"allow_failure"`
	Artifacts    struct {
		When    string
		Reports map[string]string
	}
}

// readJob reads the only job of a template, and refuses keys that the test does not know.
func readJob(t *testing.T, name string) job {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "..", "ci", name+".yml"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true)
	jobs := map[string]job{}
	if err := decoder.Decode(&jobs); err != nil {
		t.Fatal(err)
	}
	found, has := jobs["agent:"+name]
	if !has || len(jobs) != 1 || found.Image != "$COIN_AGENT_IMAGE" || len(found.Rules) == 0 ||
		found.Retry.Max != 2 || !slices.Equal(found.Retry.When, []string{"runner_system_failure", "stuck_or_timeout_failure"}) {
		t.Fatalf("%s has %+v", name, jobs)
	}
	return found
}

// variables gives the variables of a job as a runner sets them.
func (j job) variables() (env []string) {
	for name, value := range j.Variables {
		env = append(env, name+"="+value)
	}
	return env
}

func (j job) script() string { return strings.Join(j.Script, "\n") }

// TestCIWait runs the script of ci/wait.yml, whose token file other users can read.
func TestCIWait(t *testing.T) {
	t.Parallel()
	wait := readJob(t, "wait")
	var rules []string
	for _, rule := range wait.Rules {
		rules = append(rules, strings.TrimSpace(rule.When+" "+rule.If))
	}
	want := []string{ // the first that holds decides
		`$CI_COMMIT_TAG =~ /^\d{4}-\d{2}-\d{2}-[a-f0-9]{10}$/ && $AGENT_ENVIRONMENT == "production"`,
		`never $AGENT_ENVIRONMENT == "production"`,
		`$CI_COMMIT_TAG && $AGENT_ENVIRONMENT == "testing"`,
		`never $AGENT_ENVIRONMENT == "testing"`,
		`$CI_COMMIT_BRANCH && $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH && $CI_PIPELINE_SOURCE != "schedule" && $AGENT_ENVIRONMENT`,
	}
	if !slices.Equal(rules, want) {
		t.Errorf("rules %q", rules)
	}
	p := newPipeline(t)
	token := filepath.Join(p.dir, "token")
	if err := os.WriteFile(token, []byte("glpat-ci\n"), 0o644); err != nil { //nolint:gosec // as a runner does
		t.Fatal(err)
	}
	p.env = append(p.env, "COIN_AGENT_GITLAB_TOKEN_FILE=", "AGENT_GITLAB_TOKEN="+token, "AGENT_ENVIRONMENT=sandbox")
	p.env = append(p.env, wait.variables()...)
	for _, node := range fourNodes {
		p.post(node, gitlab.Success, "1 service updated")
	}
	p.want(p.start(wait.script())(), 0, "node4: succeeded: 1 service updated", "warning: the statuses of all users count")
	const forged = "AGENT_USERS=agent-node1,agent-node2,agent-node3\n" // node4's agent is none of them
	p.timesOut(limited(forged, wait.script()), "the status success of agent-node4 does not count")
	if left, err := filepath.Glob(filepath.Join(p.dir, "tmp.*")); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestCICheck runs the script of ci/check.yml on the example, and on a broken copy of it.
func TestCICheck(t *testing.T) {
	t.Parallel()
	check := readJob(t, "check")
	p := newPipeline(t)
	p.dir = filepath.Join(t.TempDir(), "repo")
	if err := os.CopyFS(p.dir, os.DirFS("../../examples/coin-gitops")); err != nil {
		t.Fatal(err)
	}
	p.want(p.start(check.script())(), 0, "node3")
	if err := os.WriteFile(filepath.Join(p.dir, "environments/sandbox/config.yml"), []byte("nodes: 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.want(p.start(check.script())(), exitDifferent, "environments/sandbox/config.yml")
	for _, report := range check.Artifacts.Reports {
		if text, err := os.ReadFile(filepath.Join(p.dir, report)); err != nil || !strings.Contains(string(text), "config.yml") {
			t.Errorf("%s: %v, %.200s", report, err, text)
		}
	}
}

// TestCIRollback reverts a merge and opens a merge request; a second run changes nothing.
func TestCIRollback(t *testing.T) {
	t.Parallel()
	rollback := readJob(t, "rollback")
	if rollback.Rules[0].When != "manual" {
		t.Errorf("rules %+v", rollback.Rules)
	}
	repo := gittest.New(t)
	repo.Commit("first", map[string]string{"a": "1\n"})
	bad := repo.Commit("bad \"release\" $(id)", map[string]string{"a": "2\n"})
	served := gittest.HTTP(t, repo.Root(), gittest.Options{})
	p := newPipeline(t)
	clone := filepath.Join(t.TempDir(), "clone")
	if out, err := exec.Command("git", "clone", "--quiet", served.URL+"/repo", clone).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p.dir = clone
	ci, err := filepath.Abs("../../ci")
	if err != nil {
		t.Fatal(err)
	}
	p.gitlab.SetTips(func(branch string) string { return strings.TrimSpace(repo.Git("rev-parse", "refs/heads/"+branch)) })
	p.env = append(p.env, "PATH="+ci+":"+os.Getenv("PATH"), "CI_COMMIT_SHA="+bad, "CI_DEFAULT_BRANCH=master", "CI_PROJECT_ID=7",
		"AGENT_REPOSITORY="+served.URL+"/repo", "AGENT_GITLAB_TOKEN="+gitlabtest.TokenFile(t, gitlabtest.Secret))
	p.want(p.start(rollback.script())(), 0, "opened a merge request of revert-"+bad[:10])
	p.want(p.start(rollback.script())(), 0, "is open already")
	merges := p.gitlab.MergeRequests()
	if len(merges) != 1 || merges[0].Title != `Revert "bad "release" $(id)"` || merges[0].TargetBranch != "master" {
		t.Errorf("%+v", merges)
	}
	if content := repo.Git("show", "revert-"+bad[:10]+":a"); strings.TrimSpace(content) != "1" {
		t.Errorf("a is %q", content)
	}

	long := repo.Commit(strings.Repeat("é", 300), map[string]string{"b": "1\n"})
	p.env = append(p.env, "CI_COMMIT_SHA="+long)
	repo.Git("-C", clone, "fetch", "--quiet", served.URL+"/repo", "master")
	p.want(p.start(rollback.script())(), 0, "opened a merge request of revert-"+long[:10])
	forged := repo.Commit("forged", map[string]string{"c": "1\n"})
	repo.Git("branch", "revert-"+forged[:10], "HEAD")
	p.env = append(p.env, "CI_COMMIT_SHA="+forged)
	repo.Git("-C", clone, "fetch", "--quiet", served.URL+"/repo", "master")
	p.want(p.start(rollback.script())(), 1, "error: the branch revert-"+forged[:10]+" exists with other content")
	if merges := p.gitlab.MergeRequests(); len(merges) != 2 {
		t.Errorf("%+v", merges)
	}
}
