package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"coin.internal/coin-agent/deploy/swarmtest"
)

// handMade is a stack that runs before the agent comes. It has no tasks.
const handMade = `version: "3.8"
services:
  web:
    image: coin-test/app:1
    cap_add: [NET_ADMIN]
    volumes: ["/srv/coin/files:/files:ro"]
    ports: ["8443:443"]
    deploy: {replicas: 0}
`

// TestInitOfALiveStack sets up a node on which docker has deployed the stack. The suggested policy
// allows what runs, and not what the files ask for beyond it. It says so when the engine does not answer.
func TestInitOfALiveStack(t *testing.T) {
	t.Parallel()
	swarm := swarmtest.Engine(t)
	stack := swarm.Stack(t)
	swarm.Image(t, imageA)
	swarm.Docker(t, handMade, "stack", "deploy", "--resolve-image=never", "-c", "-", stack)
	l := newInitLab(t)
	l.repo.Commit("another stack", map[string]string{
		"environments/sandbox/config.yml": fmt.Sprintf("environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c3, stack: %s}]\n", stack),
		node3 + "docker-compose.yml":      "services: {web: {image: \"coin-test/app:$TAG\", cap_add: [SYS_ADMIN]}}\n",
	})
	flags := []string{"--repository", l.url, "--git-token-file", l.token(), "--node", "node3"}
	if said := l.run(exitDone, flags...); !strings.Contains(said, "what the repository asks for: what runs of the stack "+stack+" is not known") || !strings.Contains(said, "SYS_ADMIN") {
		t.Errorf("without an engine:\n%s", said)
	}
	if err := os.Remove(l.path("agent.yml")); err != nil {
		t.Fatal(err)
	}
	said := l.run(exitDone, append(flags, "--engine", swarm.Host)...)
	if !strings.Contains(said, "the least policy that allows what runs of the stack "+stack+":") || strings.Contains(said, "SYS_ADMIN") {
		t.Errorf("said:\n%s", said)
	}
	file := l.read("agent.yml")
	for _, want := range []string{"\npolicy:\n", "/srv/coin/files:ro", "web: [NET_ADMIN]", "8443"} {
		if !strings.Contains(strings.ReplaceAll(file, "web:\n      - NET_ADMIN", "web: [NET_ADMIN]"), want) {
			t.Errorf("agent.yml lacks %q:\n%s", want, file)
		}
	}
}
