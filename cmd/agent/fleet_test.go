package main

import (
	"testing"

	"coin.internal/coin-agent/agent/gitlab"
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
