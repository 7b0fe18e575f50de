package main

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"coin.internal/coin-agent/deploy/swarmtest"
)

// TestReleasePrepare brings a release from its image, in a registry that requires a login, to a
// node: a branch in git and one merge request, however often the command runs.
func TestReleasePrepare(t *testing.T) {
	t.Parallel()
	const before, tag = "2025-12-05-ecacdc6c25", "2025-12-15-11eeef9e99"
	l := newLab(t)
	registry := l.swarm.Registry(t, swarmtest.RegistryOptions{User: "robot", Password: "canary-password"})
	compose := func(level string) string {
		return "services:\n  web:\n    image: \"" + registry.Address + "/coin/web:$TAG_WEB\"\n    environment: {LEVEL: " + level + "}\n    labels: {a: b}\n    deploy: {replicas: 1}\n"
	}
	registry.PushRelease(t, "coin/release:"+before, releaseBundle(t, compose("info")))
	registry.PushRelease(t, "coin/release:"+tag, releaseBundle(t, compose("debug")))
	l.settings["registry_config_file"] = l.file("config.json", registry.Login("canary-password"))
	const node = "environments/sandbox/nodes/node3/"
	l.commit("Start", map[string]string{
		"environments/sandbox/config.yml": "environment: {name: sandbox, type: non-production}\nbase: {registry: " + registry.Address + "/coin/release}\nnodes:\n  - {name: node3, context: c, stack: " + l.stack + "}\n",
		node + "docker-compose.yml":       strings.Replace(compose("info"), "replicas: 1", "replicas: 2", 1),
		node + "node.env":                 "TAG=" + before + "\nexport TAG_WEB=" + before + "\n",
	})
	clone := l.clone()
	run := func(args ...string) (string, int) {
		t.Helper()
		command := exec.Command(binary, append([]string{"release", "prepare", "--repo", clone, "--config", l.config(), "--author", "Ada Engineer <ada@coin.example>", "-o", "json", "--tag", tag, "--from-image"}, args...)...)
		command.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + l.dir}
		out, _ := command.CombinedOutput()
		if strings.Contains(string(out), "canary") {
			t.Errorf("the output has the login:\n%s", out)
		}
		return string(out), command.ProcessState.ExitCode()
	}
	if out, code := run(); code != 1 || !strings.Contains(out, "/coin/web:"+tag) {
		t.Errorf("without the image of a service: exit %d\n%s", code, out)
	}
	registry.Push(t, "coin/web:"+tag, "web")
	if out, code := run("--dry-run"); code != 3 || len(l.gitlab.MergeRequests()) > 0 {
		t.Errorf("dry run: exit %d\n%s", code, out)
	}
	var first, second struct {
		Commit struct {
			Commit string
			Taken  bool `json:"taken_up"`
		}
		URL string `json:"merge_request"`
	}
	out, code := run()
	if err := json.Unmarshal([]byte(out), &first); err != nil || code != 0 || first.URL == "" {
		t.Fatalf("exit %d, %v\n%s", code, err, out)
	}
	text, err := os.ReadFile(filepath.Join(clone, node, "docker-compose.yml"))
	if want := strings.Replace(compose("debug"), "replicas: 1", "replicas: 2", 1); err != nil || string(text) != want {
		t.Errorf("merged: %v\n%s", err, text)
	}
	again, _ := run()
	l.repo.Git("-C", clone, "switch", "--quiet", "master")
	l.repo.Git("-C", clone, "branch", "--quiet", "-D", "release/sandbox/"+tag)
	elsewhere, code := run()
	for _, out := range []string{again, elsewhere} {
		if err := json.Unmarshal([]byte(out), &second); err != nil || code != 0 || !second.Commit.Taken || second.Commit.Commit != first.Commit.Commit || second.URL != first.URL {
			t.Errorf("again: exit %d, %v\n%s", code, err, out)
		}
	}
	opened := l.gitlab.MergeRequests()
	if len(opened) != 1 || !strings.Contains(*opened[0].Description, "2 images in the registry") || !strings.Contains(*opened[0].Description, "export TAG_WEB="+before) {
		t.Errorf("merge requests: %+v", opened)
	}
}

// releaseBundle makes what the image of a release prints.
func releaseBundle(t *testing.T, compose string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "coin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "coin", "docker-compose.yml"), []byte(compose), 0o600); err != nil {
		t.Fatal(err)
	}
	packed, err := exec.Command("tar", "-C", dir, "-czf", "-", "coin").Output()
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(packed)
}
