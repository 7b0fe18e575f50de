package containers_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"coin.internal/coin-agent/deploy/swarmtest"
)

// TestCommand runs, stops and deploys a stack by the built program. Its image is in a registry that
// demands a login: that of docker login.
func TestCommand(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.engine.Named(t, l.options.Stack.Name)
	program := filepath.Join(t.TempDir(), "agent")
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-tags=grpcnotrace", "-ldflags=-s -w", "-o", program, "../../cmd/agent").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	registry := l.engine.Registry(t, swarmtest.RegistryOptions{User: "robot", Password: "canary-password"})
	image, _ := registry.Push(t, "coin/web:1", "first")
	l.engine.Forget(t, image)
	l.write("docker-compose.yml", "services:\n  web:\n    image: "+image+"\n    stop_grace_period: 1s\n")
	docker := t.TempDir() // has no login yet
	agent := func(want int, command string, more ...string) string {
		t.Helper()
		args := append([]string{"stack", command, "-w", l.options.Stack.Name}, more...)
		run := exec.CommandContext(t.Context(), program, args...)
		run.Dir, run.Env = l.dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + l.dir, "DOCKER_CONFIG=" + docker, "DOCKER_HOST=" + l.engine.Host}
		output, _ := run.CombinedOutput()
		if code := run.ProcessState.ExitCode(); code != want || strings.Contains(string(output), "canary") {
			t.Fatalf("agent %s ends with %d:\n%s", strings.Join(args, " "), code, output)
		}
		return string(output)
	}
	memory := "--files=" + l.options.Files
	says := func(text string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in:\n%s", want, text)
			}
		}
	}
	says(agent(1, "run", memory, "-f", "docker-compose.yml"), "pull image "+image, "hint: log in to its registry: docker login "+registry.Address)
	if err := os.WriteFile(filepath.Join(docker, "config.json"), []byte(registry.Login("canary-password")), 0o600); err != nil {
		t.Fatal(err)
	}
	says(agent(0, "run", memory, "-f", "docker-compose.yml"), "pulling "+image, "1 container changed\nDone.")
	says(agent(0, "run", memory, "-f", "docker-compose.yml", "-u"), "pulling "+image, "0 containers changed\nDone.")
	running := l.inspect("web.1").Image
	registry.Push(t, "coin/web:1", "second")
	says(agent(0, "run", memory, "-f", "docker-compose.yml", "-u"), "removed "+l.options.Stack.Name+"_web.1, which differs", "1 container changed\nDone.")
	if l.inspect("web.1").Image == running {
		t.Error("the new image does not run")
	}
	registry.Stop()
	says(agent(0, "run", memory, "-f", "docker-compose.yml", "-u"), "the image that the engine has is used", "0 containers changed\nDone.")
	says(agent(0, "stop", memory), "removed container "+l.options.Stack.Name+"_web.1", "Done.")
	if _, err := l.engine.API.ContainerInspect(t.Context(), l.options.Stack.Name+"_web.1"); err == nil {
		t.Error("the container is left")
	}
	l.engine.Forget(t, image)
	registry.Start(t)
	says(agent(1, "deploy", "-f", "docker-compose.yml"), "requires a login")
	says(agent(0, "deploy", "-f", "docker-compose.yml", "-u"), "Done.")
}
