package main

import (
	"os"
	"testing"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/sync/gittest"
)

// TestFleetInPipeline lists four nodes by the built agent.
func TestFleetInPipeline(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	for _, node := range fourNodes[:3] {
		p.post(node, gitlab.Success, "1 service updated")
	}
	p.post("node4", gitlab.Pending, "waiting for a user (approval): approve \x1b[2J")
	p.want(p.start("agent fleet --environment sandbox")(), exitDifferent, "VERDICT", "node4", `waiting for a user (approval): approve \x1b[2J`, "in sync")
	p.post("node4", gitlab.Success, "1 service updated")
	p.want(p.start("agent fleet --environment sandbox -o json")(), exitDone, `"node": "node4"`, `"verdict": "in sync"`)
	p.want(p.start("agent fleet --environment sandbox --api node4")(), exitUsage, `--api "node4" has no node`)
}

// TestFleetInClone lists two nodes that have no status of the newest commit, which changes the files
// of one. The clone tells which; outside a clone it is not known.
func TestFleetInClone(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	clone := gittest.New(t)
	if err := os.CopyFS(clone.Dir, os.DirFS("../../examples/coin-gitops")); err != nil {
		t.Fatal(err)
	}
	p.commit = clone.Commit("first", nil)
	p.gitlab.AddCommit(p.commit, "master")
	p.post("node3", gitlab.Success, "1 service updated")
	p.post("node4", gitlab.Success, "1 service updated")
	newest := clone.Commit("second", map[string]string{node3 + "extra.env": "A=1\n"})
	p.gitlab.AddCommit(newest, "master")
	content, err := os.ReadFile("../../examples/coin-gitops/environments/sandbox/config.yml")
	if err != nil {
		t.Fatal(err)
	}
	p.gitlab.SetFile(newest, "environments/sandbox/config.yml", string(content))
	const list = "agent fleet --environment sandbox -o json | sed -n 's/.*\"\\(node\\|verdict\\)\": //p' | paste -s -d ' '"
	p.want(p.start(list)(), exitDone, `"node3", "no newer status", "node4", "no newer status",`)
	p.want(p.start("cd "+clone.Dir+" && "+list)(), exitDone, `"node3", "behind", "node4", "in sync",`)
}
