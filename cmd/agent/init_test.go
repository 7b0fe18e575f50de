package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/sync/gittest"
)

// gitToken is the token of the git server, which must not be shown.
const gitToken = "glpat-canary-7Kx2vQ9fYw"

// initLab is a node before its first day.
type initLab struct {
	t      *testing.T
	repo   *gittest.Repo
	url    string
	gitlab *gitlabtest.Instance
	dir    string // of agent.yml
}

func newInitLab(t *testing.T) *initLab {
	t.Helper()
	l := &initLab{t: t, repo: gittest.New(t), gitlab: gitlabtest.New(t), dir: filepath.Join(t.TempDir(), "coin-agent")}
	l.url = gittest.HTTP(t, l.repo.Root(), gittest.Options{Token: gitToken}).URL + "/repo"
	l.repo.Commit("first", map[string]string{
		"environments/sandbox/config.yml":                     "environment: {name: sandbox, type: non-production}\nnodes:\n  - {name: node3, context: c3, stack: s3}\n  - {name: node4, context: c4, stack: s4}\n",
		"environments/sandbox/common/project.env":             "LOG_LEVEL=info\n",
		node3 + "node.env":                                    "TAG=1\n",
		node3 + "docker-compose.yml":                          "services: {web: {image: \"harbor.example.com/coin/web:$TAG\", cap_add: [NET_ADMIN]}}\n",
		"environments/sandbox/nodes/node4/docker-compose.yml": "services: {}\n",
	})
	return l
}

// run runs agent init, and checks that it shows no secret.
func (l *initLab) run(want int, args ...string) string {
	l.t.Helper()
	var said bytes.Buffer
	line := append([]string{"init", "--no-input", "--config", l.path("agent.yml"), "--engine", "unix://" + l.path("none.sock")}, args...)
	if code := run(l.t.Context(), line, &said, &said); code != want {
		l.t.Errorf("%v: exit %d, want %d:\n%s", args, code, want, said.String())
	}
	l.shows(said.String())
	return said.String()
}

// shows checks that a text has no secret.
func (l *initLab) shows(text string) {
	l.t.Helper()
	for _, secret := range []string{gitToken, gitlabtest.Secret, "AGE-SECRET-KEY-"} {
		if strings.Contains(text, secret) {
			l.t.Errorf("%s is shown:\n%s", secret, text)
		}
	}
}

func (l *initLab) path(name string) string { return filepath.Join(l.dir, name) }

// read gives a file that only its owner may read.
func (l *initLab) read(name string) string {
	l.t.Helper()
	info, err := os.Stat(l.path(name))
	if err != nil {
		l.t.Fatal(err)
	}
	data, err := os.ReadFile(l.path(name))
	if err != nil || info.Mode().Perm() != 0o600 {
		l.t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
	}
	return string(data)
}

// token gives the file of the git server's token.
func (l *initLab) token() string {
	l.t.Helper()
	file := filepath.Join(l.t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(gitToken+"\n"), 0o600); err != nil {
		l.t.Fatal(err)
	}
	return file
}

// settings gives what agent.yml has.
func (l *initLab) settings() settings.Settings {
	l.t.Helper()
	got := settings.Default()
	if err := got.ReadYAML("agent.yml", []byte(l.read("agent.yml"))); err != nil {
		l.t.Fatal(err)
	}
	if err := got.Validate(); err != nil {
		l.t.Error(err)
	}
	return got
}

// TestInitWithFlags sets up a node without a terminal: what does not work is told with its
// remedy, what is written has the modes that the agent demands, and a second run keeps it.
func TestInitWithFlags(t *testing.T) {
	l := newInitLab(t)
	tokens := t.TempDir()
	good, bad := filepath.Join(tokens, "good"), filepath.Join(tokens, "bad")
	for name, token := range map[string]string{good: gitToken, bad: "glpat-canary-other"} {
		if err := os.WriteFile(name, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flags := []string{"--repository", l.url, "--git-token-file", good}
	for want, args := range map[string][]string{
		"the setting repository is missing":        {},
		"hint: ":                                   {"--repository", l.url, "--git-token-file", bad},
		"with one of node3, node4":                 flags,
		`the repository has no environment "live"`: append(flags, "--environment", "live"),
		`the environment sandbox has no node "n"`:  append(flags, "--node", "n"),
	} {
		code := exitError
		if strings.Contains(want, "missing") || strings.Contains(want, "with one of") {
			code = exitUsage
		}
		if said := l.run(code, args...); !strings.Contains(said, want) || !strings.Contains(said, "hint: ") {
			t.Errorf("%v: want %q in:\n%s", args, want, said)
		}
		if _, err := os.Stat(l.path("agent.yml")); err == nil {
			t.Fatalf("%v: agent.yml was written", args)
		}
		_ = os.Remove(l.path("agent.yml.draft"))
	}
	flags = append(flags, "--node", "node3", "--gitlab-url", l.gitlab.URL, "--gitlab-project", "coin/coin-gitops", "--gitlab-token-file", l.gitlab.TokenFile)
	said := l.run(exitDone, flags...)
	for _, want := range []string{"the recipient of the secrets is age1", `path_regex: environments/sandbox/.*/secrets(/.*)?\.enc$`, "NET_ADMIN", "GitLab accepts the token", "next: agent doctor"} {
		if !strings.Contains(said, want) {
			t.Errorf("not told: %s in\n%s", want, said)
		}
	}
	got := l.settings()
	if !got.Observes() || got.Node != "node3" || got.Policy == nil || got.Policy.Capabilities == nil || got.GitLabProject != "coin/coin-gitops" {
		t.Errorf("agent.yml:\n%s", l.read("agent.yml"))
	}
	before, key := l.read("agent.yml"), l.read("sandbox.agekey")
	if _, err := os.Stat(l.path("agent.yml.draft")); err == nil {
		t.Error("the draft is left")
	}

	// Secrets for the new key are opened, others are told.
	other := sopstest.NewKey(t)
	l.repo.Commit("secrets of another key", map[string]string{node3 + "secrets.enc": sopstest.YAML(t, other, map[string]string{"a": "version: 1\ncanary"})})
	if said := l.run(exitDone); !strings.Contains(said, "do not open the node's secrets yet") || !strings.Contains(said, "sops updatekeys") || !strings.Contains(said, "stays as it is") {
		t.Errorf("a key that opens nothing:\n%s", said)
	}
	own := sopstest.Key{Identity: lastLine(key), Recipient: strings.TrimPrefix(strings.Split(key, "\n")[1], "# public key: ")}
	l.repo.Commit("secrets of the own key", map[string]string{node3 + "secrets.enc": sopstest.YAML(t, own, map[string]string{"a": "version: 1\ncanary"})})
	if said := l.run(exitDone, flags...); strings.Contains(said, "do not open") {
		t.Errorf("the own key:\n%s", said)
	}

	if said := l.run(exitUsage, "--node", "node4"); !strings.Contains(said, "its node is not the one of the command line") {
		t.Errorf("another node:\n%s", said)
	}
	if l.read("agent.yml") != before || l.read("sandbox.agekey") != key {
		t.Error("a second run has changed files")
	}
	l.run(exitDone, "--node", "node4", "--force")
	if got := l.settings(); got.Node != "node4" || l.read("agent.yml.old") != before || l.read("sandbox.agekey") != key {
		t.Errorf("--force: agent.yml:\n%s", l.read("agent.yml"))
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// TestInitWhereTheAgentDeploys has settings without mode: observe. Init does not write them, and
// says of those that exist what the agent's start does.
func TestInitWhereTheAgentDeploys(t *testing.T) {
	l := newInitLab(t)
	flags := []string{"--repository", l.url, "--git-token-file", l.token(), "--node", "node3"}
	if said := l.run(exitUsage, append(flags, "--mode", "sync")...); !strings.Contains(said, "with mode: observe, not with mode: sync") {
		t.Error(said)
	}
	l.run(exitDone, flags...)
	if err := os.WriteFile(l.path("agent.yml"), []byte(strings.Replace(l.read("agent.yml"), "\nmode: observe\n", "\n", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := l.run(exitDone, flags...); !strings.Contains(said, "the agent deploys when it starts") || !strings.Contains(said, "coin-agent, which deploys\n") {
		t.Error(said)
	}
	l.run(exitDone, "--force")
	if got := l.settings(); !got.Observes() {
		t.Errorf("agent.yml:\n%s", l.read("agent.yml"))
	}
}

// TestInitLeavesAFollowedCopy has an agent that follows a folder on this machine.
func TestInitLeavesAFollowedCopy(t *testing.T) {
	l := newInitLab(t)
	copied := t.TempDir()
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.path("agent.yml"), []byte("repository: "+copied+"\nenvironment: sandbox\nnode: node3\nengine: unix://"+l.path("none.sock")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.run(exitError)
	if said := l.run(exitUsage, "--repository", copied+"/"); !strings.Contains(said, "init does not write into it") {
		t.Error(said)
	}
	if files, err := os.ReadDir(copied); err != nil || len(files) > 0 {
		t.Errorf("init wrote %v, %v", files, err)
	}
}

// TestInitContinuesAReplacement has an interrupted setup with --force: only that one continues.
func TestInitContinuesAReplacement(t *testing.T) {
	l := newInitLab(t)
	l.run(exitDone, "--repository", l.url, "--git-token-file", l.token(), "--node", "node3")
	before := l.read("agent.yml")
	if err := os.WriteFile(l.path("agent.yml.draft"), []byte(strings.Replace(before, "node: node3", "node: node4", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(l.path("agent.yml.draft"), later, later); err != nil {
		t.Fatal(err)
	}
	l.run(exitDone)
	if l.read("agent.yml") != before {
		t.Error("a setup without --force has changed agent.yml")
	}
	l.run(exitDone, "--force")
	if got := l.settings(); got.Node != "node4" || l.read("agent.yml.old") != before {
		t.Errorf("agent.yml:\n%s", l.read("agent.yml"))
	}
	l.run(exitDone, "--force", "--node", "node3")
	if got := l.settings(); got.Node != "node3" || l.read("agent.yml.old") != before {
		t.Error("the first agent.yml was not kept")
	}
}

// TestInitWritesARepository makes the smallest repository, which the check accepts without a
// warning. Files that exist stay.
func TestInitWritesARepository(t *testing.T) {
	t.Chdir(t.TempDir())
	ran := func(want int, args ...string) string {
		t.Helper()
		var said bytes.Buffer
		if code := run(t.Context(), args, &said, &said); code != want {
			t.Errorf("%v: exit %d: %s", args, code, said.String())
		}
		return said.String()
	}
	config := "environments/lab/config.yml"
	if said := ran(exitDone, "init", "--repository", "./gitops", "--environment", "lab", "--node", "lab1"); !strings.Contains(said, "wrote gitops/"+config) {
		t.Error(said)
	}
	if said := ran(exitDone, "check", "gitops"); strings.Contains(said, "warning") || !strings.Contains(said, "1 node checked") {
		t.Error(said)
	}
	if err := os.WriteFile("gitops/"+config, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := ran(exitDone, "init", "--repository", "./gitops", "--environment", "lab", "--node", "lab1"); !strings.Contains(said, "exist") {
		t.Error(said)
	}
	if data, err := os.ReadFile("gitops/" + config); err != nil || string(data) != "mine" {
		t.Errorf("the file is %q, %v", data, err)
	}
	ran(exitError, "init", "--repository", "./gitops", "--environment", "../up")
}
