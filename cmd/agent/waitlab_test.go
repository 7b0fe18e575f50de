package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/record"
)

// job gives a pipeline's job of ci/wait.yml that waits for a commit, and its script. Only the
// times differ from the template's.
func (f *nodeLabs) job(commit, timeout string) (p *pipeline, script string) {
	f.t.Helper()
	hub := f.pair[0].gitlab
	hub.SetToken("glpat-ci", gitlabtest.Token{Name: "ci", User: gitlabtest.User{ID: 300, Name: "ci", Access: gitlabtest.Reporter}, Scopes: []string{"read_api"}})
	const config = "environments/sandbox/config.yml"
	hub.SetFile(commit, config, f.pair[0].repo.Git("show", commit+":"+config))
	template := readJob(f.t, "wait")
	p = &pipeline{t: f.t, gitlab: hub, commit: commit, dir: f.t.TempDir()}
	p.env = append(template.variables(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"), "HOME="+p.dir, "TMPDIR="+p.dir, "TZ=UTC",
		"CI_SERVER_URL="+hub.URL, "CI_PROJECT_PATH=coin/coin-gitops", "CI_COMMIT_SHA="+commit, "CI_COMMIT_BRANCH=master",
		"AGENT_GITLAB_TOKEN="+gitlabtest.TokenFile(f.t, "glpat-ci"), "AGENT_ENVIRONMENT=sandbox", "AGENT_TIMEOUT="+timeout, "AGENT_USERS=coin-agent")
	return p, strings.Replace(template.script(), "agent wait", "agent wait --poll 1s --settle 3s", 1)
}

// waitsForFour rolls out over four agents while a pipeline waits for them, and GitLab is away
// for a while.
func (f *nodeLabs) waitsForFour(t *testing.T, first string) {
	t.Helper()
	p, script := f.job(first, "5m")
	wait := p.start(script)
	p.shows("node4: no status")
	p.gitlab.Inject(gitlabtest.Fault{Cut: true, Times: -1})
	p.shows("asking again until the time is over")
	p.gitlab.Heal()
	f.each(func(node *lab) { node.start() })
	f.all(first, record.Succeeded)
	p.want(wait(), exitDone, "GitLab answers again", "node1: rolling out", "node1: succeeded: ", "node4: succeeded: ")
}

// waitsForApproval has a pipeline wait for a commit that needs an approval, at first without
// node2.
func (f *nodeLabs) waitsForApproval() {
	f.t.Helper()
	deployment := f.deployment
	f.deployment += "\napproval: {required: true, approvers: [bob]}"
	f.release("2")
	f.node("node2").stop()
	commit := f.commit("needs an approval")
	f.inTurn(commit, "node3 pending")
	p, script := f.job(commit, "5m")
	p.timesOut(limited("", script), "the nodes did not end within ", "node3: waiting for a user (approval", "node2: no status", "`agent doctor` on the node")
	f.node("node2").start()
	p.want(p.start(script)(), exitDifferent, "error: node3: waiting for a user (approval", "run the job again after that")
	f.deployment = deployment
}
