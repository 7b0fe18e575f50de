package main

import (
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/internal/sopstest"
)

// refuser answers the check of a release: not well, where it is one of some.
type refuser struct {
	mu       sync.Mutex
	releases []string
}

func (f *refuser) refuse(releases ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.releases = releases
}

func (f *refuser) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.Contains(f.releases, r.URL.Query().Get("release")) {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// rollbackRepo is the small repository, with a check that needs a secret, going
// back by itself.
func (l *lab) rollbackRepo(application string, automatic bool) map[string]string {
	l.t.Helper()
	files := l.smallRepo()
	files[node3+"secrets.enc"] = l.rollbackSecrets(canaries["db_access"])
	files[configFile] += fmt.Sprintf(`  rollback: {automatic: %t}
  checks:
    - {name: health, retries: 0, http: {url: '%s/health?release={{release}}', token_secret: check_token}}
images: {missing: warn}
`, automatic, application)
	return files
}

func (l *lab) rollbackSecrets(access string) string {
	return sopstest.YAML(l.t, l.key, map[string]string{"db_access": access, "web_auth": canaries["web_auth"], "check_token": checkToken})
}

// standing is what is compared of the stack: a service that was not written has
// its version still; of the others, what they run and read.
func (l *lab) standing(untouched ...string) map[string]string {
	l.t.Helper()
	stands := map[string]string{}
	for name, version := range l.versions() {
		if name == "migrate" {
			continue
		}
		container := l.service(name).Spec.TaskTemplate.ContainerSpec
		stands[name] = container.Image
		for _, secret := range container.Secrets {
			stands[name] += " " + secret.SecretName
		}
		if slices.Contains(untouched, name) {
			stands[name] += fmt.Sprintf(" version %d", version)
		}
	}
	return stands
}

// unchanged compares with how the stack stood before.
func (l *lab) unchanged(before map[string]string, untouched ...string) {
	l.t.Helper()
	if diff := cmp.Diff(before, l.standing(untouched...)); diff != "" {
		l.t.Errorf("the stack: %s", diff)
	}
}

// TestRollback goes back from a bad image by itself, through a kill with the git server
// away, and stays there.
func TestRollback(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	application := &refuser{}
	server := httptest.NewServer(application)
	t.Cleanup(server.Close)
	first := l.commit("first", l.rollbackRepo(server.URL, true))
	l.running(first)
	before := l.standing("worker")
	raised := func(version int, env string) map[string]string {
		return map[string]string{
			node3 + "node.env":             l.nodeEnv("1", env),
			node3 + "secrets.enc":          l.rollbackSecrets(fmt.Sprintf("version: %d\ncanary-next", version)),
			node3 + "secrets.override.enc": sopstest.YAML(t, l.key, map[string]string{"SV_db_access": fmt.Sprint(version)}),
		}
	}
	l.step("a bad image, with a new version of a secret", func() {
		bad := l.commit("bad image", raised(2, "TAG_WEB=nowhere"))
		status := l.await(bad, record.RolledBack)
		l.unchanged(before, "worker")
		taken := status.Sync.Rollback
		if taken == nil || taken.To != 1 || !taken.Auto || !taken.Wrote || !strings.Contains(status.Sync.Error, "No such image") || status.Pinned == nil {
			l.t.Errorf("recorded as %+v: %s", taken, status.Sync.Error)
		}
		if diff := cmp.Diff([]string{l.stack + "_migrate"}, taken.Left); diff != "" {
			l.t.Errorf("left as they are: %s", diff)
		}
		l.posts(bad, "failed")
		if text := l.described(bad); !strings.Contains(text, "rolled back to 1 (sync #1)") || !strings.Contains(text, "No such image") {
			l.t.Errorf("described as %q", text)
		}
		l.looks(2)
		l.unchanged(before, "worker")
	})
	l.step("killed on the way back, the git server away", func() {
		bad := l.crashAt(crash{stage: "rollback"}, func() string {
			return l.commit("bad again", map[string]string{node3 + "node.env": l.nodeEnv("1", "TAG_WEB=nowhere-else")})
		})
		l.git.Fail(http.StatusServiceUnavailable)
		l.start()
		status := l.await(bad, record.RolledBack)
		l.unchanged(before, "worker")
		if status.Sync.ID != 3 || !strings.Contains(status.Sync.Error, "No such image") {
			l.t.Errorf("recorded as %+v", status.Sync)
		}
		l.git.Fail(0)
		l.posts(bad, "failed")
	})
	l.sealedFiles()
}

// sealedFiles looks for what must not be on the disk, also in the files that are
// kept of good states, which are compressed.
func (l *lab) sealedFiles() {
	l.t.Helper()
	l.stop()
	sealed := func(what string, content []byte) {
		for _, canary := range []string{"canary-", checkToken} {
			if strings.Contains(string(content), canary) {
				l.t.Errorf("%s holds a secret in the clear", what)
			}
		}
	}
	data, err := os.ReadFile(l.stateFile())
	if err != nil {
		l.t.Fatal(err)
	}
	sealed("the state file", data)
	store, err := store.OpenReadOnly(l.settings["state_dir"])
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	good, err := store.Stack(record.OnlyStack).Good(1)
	if err != nil || len(good) == 0 {
		l.t.Fatalf("%d good states, %v", len(good), err)
	}
	files, err := store.Files(&good[0])
	if err != nil {
		l.t.Fatal(err)
	}
	for _, name := range []string{configFile, composeFile, node3 + "secrets.enc"} {
		content, err := fs.ReadFile(files, name)
		if err != nil {
			l.t.Error(err)
		}
		sealed(name, content)
	}
}

// TestRollbackByHand goes back with git and GitLab away, of the whole stack and of
// one service, and never to what was left.
func TestRollbackByHand(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	application := &refuser{}
	server := httptest.NewServer(application)
	t.Cleanup(server.Close)
	files := l.rollbackRepo(server.URL, false)
	first := l.commit("first", files)
	l.running(first)
	before := l.standing()
	maps.Copy(files, map[string]string{node3 + "node.env": l.nodeEnv("1", "TAG_WEB=2\nTAG_WORKER=2")})
	second := l.commit("second", files)
	l.await(second, record.Succeeded)
	after := l.standing()

	l.git.Fail(http.StatusServiceUnavailable)
	l.gitlab.Inject(gitlabtest.Fault{Times: -1, Cut: true})
	l.until("without git", func(s report.Status) bool { return s.PollError != "" })
	l.mustRun(exitUsage, []string{"no terminal to ask on", "--yes"}, "rollback")
	l.mustRun(exitUsage, []string{"with -o json the command does not ask", "--yes"}, "rollback", "-o", "json")
	l.mustRun(exitDifferent, []string{"will roll back to 1 (sync #1)", "update     service " + l.stack + "_web"}, "rollback", "--dry-run")
	l.unchanged(after)
	l.mustRun(exitDone, []string{"rolled back to 1 (sync #1) by ", "it is slow", "`agent resume`"}, "rollback", "--yes", "--reason", "it is slow")
	l.unchanged(before)
	l.mustRun(exitError, []string{"no good state is recorded from before"}, "rollback", "--yes")
	l.mustRun(exitError, []string{"#9 is not a recorded good state", "#3 1, #2 1, #1 1"}, "rollback", "--yes", "--to", "9")
	l.mustRun(exitError, []string{"there is no service " + l.stack + "_wbe"}, "rollback", "--yes", "--to", "2", "--service", "wbe")

	l.mustRun(exitDone, []string{"rolled " + l.stack + "_web back to 1 (sync #2)"}, "rollback", "--yes", "--to", "2", "--service", "web")
	mixed := maps.Clone(l.standing())
	if mixed["web"] != after["web"] || mixed["worker"] != before["worker"] {
		t.Errorf("the stack: %v", mixed)
	}
	l.gitlab.Heal()
	l.git.Fail(0)
	l.posts(second, "failed")
	if text := l.described(second); !strings.Contains(text, "back to 1 (sync #") {
		t.Errorf("described as %q", text)
	}
	l.looks(2)
	if diff := cmp.Diff(mixed, l.standing()); diff != "" {
		t.Errorf("it does not stay: %s", diff)
	}
	elsewhere := l.commit("of another node", map[string]string{"environments/sandbox/nodes/node4/docker-compose.yml": "services: {}\n# more\n"})
	if status := l.await(elsewhere, record.RolledBack); status.Pinned == nil || !status.Sync.Unchanged {
		t.Errorf("a commit of another node: %+v, pinned %+v", status.Sync, status.Pinned)
	}
	l.mustRun(exitError, []string{"pinned at 1 (sync #2) since", "`agent resume` follows master again"}, "sync", "--wait")
	l.mustRun(exitDone, nil, "resume")
	l.await(elsewhere, record.Succeeded)
	l.unchanged(after)
	l.mustRun(exitDone, []string{`"action": "rollback"`, "it is slow"}, "audit", "log", "-o", "json")

	// It stays there also where what it left had not been rolled out yet.
	l.mustRun(exitDone, nil, "pause", "--reason", "at night")
	l.await(l.commit("third", map[string]string{node3 + "node.env": l.nodeEnv("1", "TAG_WEB=1\nTAG_WORKER=2")}), record.Waiting)
	l.mustRun(exitDone, nil, "rollback", "--yes")
	further := l.commit("of another node again", map[string]string{"environments/sandbox/nodes/node4/docker-compose.yml": "services: {}\n# and more\n"})
	if status := l.await(further, record.RolledBack); status.Pinned == nil || !status.Sync.Unchanged {
		t.Errorf("a commit of another node, paused: %+v, pinned %+v", status.Sync, status.Pinned)
	}

	// Without the daemon, the command does the same, while GitLab is away.
	l.mustRun(exitError, []string{"without --once"}, "rollback", "--once", "--yes", "--to", "2")
	l.stop()
	l.gitlab.Inject(gitlabtest.Fault{Times: -1, Cut: true})
	l.mustRun(exitError, []string{"#99 is not a recorded good state", "agent: code: refused"}, "rollback", "--once", "--yes", "--to", "99")
	l.mustRun(exitDifferent, []string{"will roll back to 1 (sync #2)"}, "rollback", "--once", "--dry-run", "--to", "2")
	l.mustRun(exitError, []string{"rolled back to 1 (sync #2) by ", "no daemon", "deliver reports to GitLab"}, "rollback", "--once", "--yes", "--to", "2", "--reason", "no daemon")
	l.unchanged(after)
	l.gitlab.Heal()
	l.start()
	l.until("the pin is kept", func(s report.Status) bool { return s.Pinned != nil && s.Pinned.To == 2 && s.GitLab.Undelivered == 0 })
	l.unchanged(after)
}

// TestRollbackToADigest goes back to the content that a tag had, though the tag has
// moved, and stays with it.
func TestRollbackToADigest(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	application := &refuser{}
	server := httptest.NewServer(application)
	t.Cleanup(server.Close)
	registry := l.swarm.Registry(t, swarmtest.RegistryOptions{})
	image, digest := registry.Push(t, "coin/core:1", "1")
	l.swarm.Forget(t, image)
	files := l.registryRepo(registry, "always")
	files[configFile] += fmt.Sprintf("deployment:\n  rollback: {automatic: true}\n  checks: [{name: health, retries: 0, http: {url: '%s/health?release={{env.MARK}}'}}]\n", server.URL)
	files[node3+"node.env"] = l.nodeEnv("1", "MARK=good")
	application.refuse("bad")
	l.running(l.commit("first", files))
	_, moved := registry.Push(t, "coin/core:1", "2")
	bad := l.commit("moved", map[string]string{node3 + "node.env": l.nodeEnv("1", "MARK=bad")})
	if status := l.await(bad, record.RolledBack); !strings.Contains(status.Sync.Rollback.Summary, "1 service updated") {
		t.Errorf("went back by %q", status.Sync.Rollback.Summary)
	}
	if got := l.service("web").Spec.TaskTemplate.ContainerSpec.Image; got != image+"@"+digest || digest == moved {
		t.Errorf("%s runs, want %s", got, digest)
	}
	if status := l.looks(2); len(status.Drift) > 0 {
		t.Errorf("it drifted: %v", status.Drift)
	}
}
