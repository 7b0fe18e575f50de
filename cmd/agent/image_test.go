package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/internal/waitfor"
)

// imageVariable names the image of packaging/ci.Dockerfile, in which the scripts of ci/ run then instead of
// on this machine: see scripts/images.
const imageVariable = "COIN_TEST_CI_IMAGE"

// shell gives the command that runs a script of a job: on this machine or, as a runner does, in an image.
// There the user is the image's, who finds the files that root has cloned and written, open to all.
func (p *pipeline) shell(script string) *exec.Cmd {
	p.t.Helper()
	image := os.Getenv(imageVariable)
	if image == "" {
		command := exec.CommandContext(p.t.Context(), "sh", "-euc", script)
		command.Env, command.Dir = p.env, p.dir
		return command
	}
	arguments := []string{"run", "--rm", "--network", "host", "--workdir", p.dir, "--volume", p.dir + ":" + p.dir}
	p.open(p.dir)
	variables := map[string]string{}
	for _, variable := range p.env { // the last of a name counts
		name, value, _ := strings.Cut(variable, "=")
		variables[name] = value
	}
	for name, value := range variables {
		if name == "PATH" || name == "HOME" || name == "TMPDIR" { // the image's own
			continue
		}
		arguments = append(arguments, "--env", name+"="+value)
		if file, err := os.Stat(value); err == nil && file.Mode().IsRegular() {
			p.open(value)
			arguments = append(arguments, "--volume", value+":"+value)
		}
	}
	return exec.CommandContext(p.t.Context(), "docker", append(arguments, image, "sh", "-euc", script)...)
}

// open lets all users read and write what a path has.
func (p *pipeline) open(path string) {
	p.t.Helper()
	err := filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o666
		if entry.IsDir() {
			mode = 0o777
		}
		return os.Chmod(path, mode) //nolint:gosec // as a runner does
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// TestImage builds the agent's image, and starts it with the volumes of packaging/coin-agent.stack.yml and
// without the right to write elsewhere.
func TestImage(t *testing.T) {
	t.Parallel()
	on, dir := swarmtest.Engine(t), t.TempDir()
	if err := os.Link(binary, filepath.Join(dir, "agent-"+runtime.GOARCH)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ca-certificates.crt", "LICENSE", "THIRD_PARTY.gz"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const image = "coin-agent-test:1"
	on.Docker(t, "", "build", "--build-arg", "ARCH="+runtime.GOARCH, "--tag", image, "--file", "../../packaging/Dockerfile", dir)
	defer on.Forget(t, image)
	arguments := []string{"run", "--detach", "--network", "none", "--read-only"}
	for _, volume := range stackVolumes(t) {
		if source, target, _ := strings.Cut(volume, ":"); !strings.HasPrefix(source, "/") {
			arguments = append(arguments, "--volume", target)
		}
	}
	for _, variable := range []string{"ENVIRONMENT=sandbox", "NODE=node3", "REPOSITORY=/none", "ENGINE=unix:///none.sock"} {
		arguments = append(arguments, "--env", "COIN_AGENT_"+variable)
	}
	container := strings.TrimSpace(on.Docker(t, "", append(arguments, image)...))
	defer on.Docker(t, "", "rm", "--force", "--volumes", container)
	waitfor.NoError(t, patience, func() error {
		if log := on.Docker(t, "", "logs", container); !strings.Contains(log, "agent started") {
			return fmt.Errorf("it says %q", log)
		}
		return nil
	})
}

// stackVolumes gives the volumes of the agent in packaging/coin-agent.stack.yml.
func stackVolumes(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../packaging/coin-agent.stack.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct{ Volumes []string }
	}
	if err := yaml.Unmarshal(text, &file); err != nil || len(file.Services["agent"].Volumes) < 3 {
		t.Fatalf("%v, %+v", err, file)
	}
	return file.Services["agent"].Volumes
}

// TestCIDockerfile holds packaging/ci.Dockerfile to what the jobs of ci/ and scripts/images expect of it.
func TestCIDockerfile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../packaging/ci.Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	joined := strings.ReplaceAll(string(text), "\\\n", "")
	lines := strings.Split(strings.TrimSpace(joined), "\n")
	for _, want := range []string{"ARG BASE=debian:12-slim", "FROM ${BASE}", "ARG ARCH=amd64", "USER 1000"} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q", want)
		}
	}
	packages := regexp.MustCompile(`apt-get install [^&]*`).FindString(joined)
	for _, program := range []string{"ca-certificates", "curl", "git"} {
		if !slices.Contains(strings.Fields(packages), program) {
			t.Errorf("%q does not install %s", packages, program)
		}
	}
	var copied []string
	for _, line := range lines {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == "COPY" {
			copied = append(copied, fields[1:len(fields)-1]...)
		}
	}
	want := []string{"agent-${ARCH}", "coin-agent-revert", "LICENSE", "THIRD_PARTY.gz"} // scripts/dist and scripts/images make them
	if !slices.Equal(copied, want) {
		t.Errorf("copies %q, want %q", copied, want)
	}
	if by := "#   cp ci/coin-agent-revert dist/root/"; !slices.Contains(lines, by) { // scripts/dist does not
		t.Errorf("who builds the image by hand is not told: %s", by)
	}
}
