package paritytest

import (
	"fmt"
	"os/exec"
	"path"
	"strings"
	"sync"
	"testing"

	"coin.internal/coin-agent/manifests"
)

// client is the docker command of this machine.
type client struct {
	program  string
	major    int  // version
	detaches bool // it has --detach, and by default waits for the services
}

var findClient = sync.OnceValues(func() (client, error) {
	program, err := exec.LookPath("docker")
	if err != nil {
		return client{}, fmt.Errorf("%w\nhint: install docker.io, or the docker CLI 20.10 or newer", err)
	}
	found := client{program: program}
	version, err := exec.Command(program, "--version").Output()
	if err == nil {
		_, err = fmt.Sscanf(string(version), "Docker version %d.", &found.major)
	}
	if err != nil {
		return client{}, fmt.Errorf("docker --version: %w: %s", err, version)
	}
	help, err := exec.Command(program, "stack", "deploy", "--help").Output()
	if err != nil {
		return client{}, fmt.Errorf("docker stack deploy --help: %w", err)
	}
	found.detaches = strings.Contains(string(help), "--detach")
	return found, nil
})

func docker(t *testing.T) client {
	t.Helper()
	found, err := findClient()
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// old reports whether the version is 20.10. Render follows 28.
func (c client) old() bool { return c.major < 28 }

// stackDeploy runs the real `docker stack deploy` in dir with exactly the given
// environment. It returns the requests to the engine at host, even if the engine
// refuses them.
func stackDeploy(t *testing.T, host, dir string, node *manifests.Node, flags ...string) (sent *bodies, failed error) {
	t.Helper()
	client := docker(t)
	proxied, sent := capture(t, host)
	arguments := []string{"--host", proxied, "stack", "deploy", "--prune", "--resolve-image", "never"}
	if client.detaches {
		arguments = append(arguments, "--detach=true")
	}
	arguments = append(arguments, flags...)
	for _, name := range node.ComposeFiles {
		arguments = append(arguments, "--compose-file", path.Base(name))
	}
	command := exec.CommandContext(t.Context(), client.program, append(arguments, node.Stack)...)
	command.Dir = dir
	command.Env = []string{"DOCKER_CONFIG=" + t.TempDir()}
	for name, value := range exported(t, node, dir) {
		command.Env = append(command.Env, name+"="+value)
	}
	if output, err := command.CombinedOutput(); err != nil {
		failed = fmt.Errorf("docker stack deploy: %w\n%s", err, output)
	}
	sent.mu.Lock()
	defer sent.mu.Unlock()
	if sent.fault != nil {
		t.Fatal(sent.fault)
	}
	return sent, failed
}
