package paritytest

import (
	"fmt"
	"os/exec"
	"path"
	"strings"
	"testing"

	"coin.internal/coin-agent/manifests"
)

// docker gives the path of the command and its major version.
func docker(t *testing.T) (program string, major int) {
	t.Helper()
	program, err := exec.LookPath("docker")
	if err != nil {
		t.Fatalf("%v\nhint: install docker.io, or the docker CLI 20.10 or newer", err)
	}
	output, err := exec.Command(program, "--version").Output()
	if err == nil {
		_, err = fmt.Sscanf(string(output), "Docker version %d.", &major)
	}
	if err != nil {
		t.Fatalf("docker --version: %v: %s", err, output)
	}
	return program, major
}

// stackDeploy runs the real `docker stack deploy` in dir with exactly the given
// environment, and gives what it sends to the engine at host.
func stackDeploy(t *testing.T, host, dir string, node *manifests.Node) (*bodies, error) {
	t.Helper()
	program, _ := docker(t)
	proxied, sent := capture(t, host)
	help, err := exec.Command(program, "stack", "deploy", "--help").Output()
	if err != nil {
		t.Fatalf("docker stack deploy --help: %v", err)
	}
	arguments := []string{"--host", proxied, "stack", "deploy", "--prune", "--resolve-image", "never"}
	if strings.Contains(string(help), "--detach") {
		arguments = append(arguments, "--detach=true")
	}
	for _, name := range node.ComposeFiles {
		arguments = append(arguments, "--compose-file", path.Base(name))
	}
	command := exec.CommandContext(t.Context(), program, append(arguments, node.Stack)...)
	command.Dir = dir
	command.Env = []string{"DOCKER_CONFIG=" + t.TempDir()}
	for name, value := range exported(t, node, dir) {
		command.Env = append(command.Env, name+"="+value)
	}
	if output, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("docker stack deploy: %w\n%s", err, output)
	}
	sent.mu.Lock()
	defer sent.mu.Unlock()
	if sent.fault != nil {
		t.Fatal(sent.fault)
	}
	return sent, nil
}
