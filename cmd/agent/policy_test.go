package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// guarded gives a lab whose node has the policy that suggest prints for its files, which run.
func guarded(t *testing.T) (l *lab, files map[string]string) {
	t.Helper()
	t.Parallel()
	l = newLab(t)
	l.settings["interval"] = "2s"
	files = l.tinyRepo()
	files[configFile] += "  rollback: {soak: 1s}\n"
	first := l.commit("first", files)
	l.mappings = l.mustRun(exitDone, []string{"policy:\n  strict: true\n  stacks: [" + l.stack + "]\n"}, "policy", "suggest", "--repo", l.repo.Dir)
	l.running(first)
	return l, files
}

// refused waits until a commit is held, and checks that nothing was written meanwhile.
func (l *lab) refused(commit string, want ...string) {
	l.t.Helper()
	status := l.await(commit, record.Failed)
	if sync := status.Sync; sync.Stage != record.StagePolicy || sync.Wrote || sync.Transient || !sync.Held() || sync.Hint == "" {
		l.t.Errorf("refused at %s, wrote %t, transient %t: %s (%s)", sync.Stage, sync.Wrote, sync.Transient, sync.Error, sync.Hint)
	}
	for _, text := range want {
		if !strings.Contains(status.Sync.Error, text) {
			l.t.Errorf("the refusal does not say %q: %s", text, status.Sync.Error)
		}
	}
	l.posts(commit, "failed")
	if writes := l.recorder.Writes(); len(writes) > 0 {
		l.t.Errorf("written: %v", writes)
	}
	for _, service := range status.Services {
		if service.Running != service.Desired {
			l.t.Errorf("%s: %d of %d tasks run", service.Name, service.Running, service.Desired)
		}
	}
}

// TestPolicyRefuses commits what takes a node over, one after another: each is refused by
// name and line before anything is written, and what ran still runs.
func TestPolicyRefuses(t *testing.T) {
	l, files := guarded(t)
	before := l.tasks()
	l.recorder.Reset()
	const web = "services:\n  web:\n    image: coin-test/app:$TAG\n"
	socket := strings.TrimPrefix(l.recorder.Host, "unix://") // which the agent uses
	for _, attack := range []struct {
		name, compose, rule string
		line                int
	}{
		{"root", web + "    volumes: ['/:/host']\n", "engine_socket", 4},
		{"some folder", web + "    volumes: ['/etc:/host']\n", "bind_mounts", 4},
		{"socket", web + "    volumes: ['" + socket + ":/engine.sock']\n", "engine_socket", 4},
		{"folder of the socket", web + "    volumes: ['/var/run:/run/node']\n", "engine_socket", 4},
		{"volume that binds", web + "    volumes: ['data:/host']\nvolumes: {data: {driver_opts: {\n      type: none, o: bind,\n      device: /etc}}}\n", "bind_mounts", 7},
		{"capabilities", web + "    cap_add: [ALL]\n", "capabilities", 4},
		{"host network", web + "    network_mode: host\n", "host_network", 4},
		{"another stack's volume", web + "    volumes: ['data:/data']\nvolumes:\n  data: {external: true, name: billing_data}\n", "external.volumes", 6},
	} {
		l.step(attack.name, func() {
			commit := l.commit(attack.name, map[string]string{composeFile: attack.compose})
			l.refused(commit, "service web ", "policy."+attack.rule+" does not allow it", fmt.Sprintf("%s:%d: ", composeFile, attack.line))
		})
	}
	l.step("told everywhere", func() {
		const what = "uses the volume billing_data"
		l.mustRun(exitDifferent, []string{"the sync will stop here: " + composeFile + ":6", what}, "diff")
		l.mustRun(exitDifferent, []string{what}, "check", l.repo.Dir)
		l.mustRun(exitDifferent, []string{"policy: " + composeFile + ":6", what}, "status")
		l.mustRun(exitDifferent, []string{"policy", "FAIL", what}, "doctor")
		out := l.mustRun(exitDifferent, nil, "policy", "test", "--repo", l.repo.Dir, "-o", "json")
		if all := decode[[]struct{ Rule, Service, Hint string }](l.t, out); len(all) != 1 || all[0].Rule != "external.volumes" || all[0].Service != "web" || all[0].Hint == "" {
			l.t.Errorf("refusals: %s", out)
		}
		if got := l.mustRun(exitDone, nil, "policy", "show"); got != l.mappings {
			l.t.Errorf("the policy in force: %s", cmp.Diff(l.mappings, got))
		}
	})
	l.step("what ran still runs", func() {
		good := l.commit("good again", files)
		l.await(good, record.Succeeded)
		if diff := cmp.Diff(before, l.tasks()); diff != "" {
			l.t.Errorf("tasks: %s", diff)
		}
		if got := l.mustRun(exitDone, nil, "policy", "suggest"); got != l.mappings {
			l.t.Errorf("suggested for what runs, not for the files: %s", cmp.Diff(l.mappings, got))
		}
	})
}

// TestPolicyReload changes the policy while the agent runs: a broken one changes nothing, a
// wider one lets a held commit pass, and a narrower one refuses to roll back to it.
func TestPolicyReload(t *testing.T) {
	l, files := guarded(t)
	reload := func(policy, logged string) {
		l.mappings = policy
		l.config()
		times := strings.Count(l.logText(), logged)
		if err := l.process.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		l.until("reloaded", func(report.Status) bool { return strings.Count(l.logText(), logged) > times })
	}
	narrow := l.mappings
	l.recorder.Reset()
	held := l.commit("capability", map[string]string{composeFile: files[composeFile] + "    cap_add: [NET_ADMIN]\n"})
	l.refused(held, "service web adds the capability NET_ADMIN")

	reload("policy: {strict: maybe}\n", "cannot reload the policy")
	l.mappings = narrow // of the commands that follow
	l.mustRun(exitDifferent, []string{"policy    not reloaded: ", "policy.strict is neither true nor false", "write true or false"}, "status")
	l.mustRun(exitError, []string{"policy: ", "NET_ADMIN"}, "sync", "--wait")
	l.refused(held, "NET_ADMIN")

	reload(narrow+"  capabilities: {web: [NET_ADMIN]}\n", `"policy reloaded"`)
	l.mustRun(exitDone, nil, "retry")
	state := l.await(held, record.Succeeded)
	if state.Policy.Error != "" || state.Policy.Rules.Capabilities == nil {
		t.Errorf("the policy in force: %+v", state.Policy)
	}
	l.until("fit to roll back to", func(s report.Status) bool { return s.Applied != nil && s.Applied.Soaking.IsZero() })
	l.await(l.commit("without it", files), record.Succeeded)

	reload(narrow, `"policy reloaded"`)
	logged := l.mustRun(exitDone, nil, "audit", "log")
	for _, want := range []string{"policy.strict is neither true nor false", "reloaded by SIGHUP: policy ", "changed: capabilities"} {
		if !strings.Contains(logged, want) {
			t.Errorf("the audit log lacks %q:\n%s", want, logged)
		}
	}
	l.recorder.Reset()
	l.mustRun(exitError, []string{fmt.Sprintf("the good state of sync #%d: service web adds the capability NET_ADMIN", state.Sync.ID), "roll back to another state"},
		"rollback", "--to", fmt.Sprint(state.Sync.ID), "--yes")
	if writes := l.recorder.Writes(); len(writes) > 0 {
		t.Errorf("a refused rollback wrote %v", writes)
	}
	for _, lost := range []func(string) error{func(file string) error { return os.Truncate(file, 0) }, os.Remove} {
		if err := lost(l.dir + "/agent.yml"); err != nil {
			t.Fatal(err)
		}
		times := strings.Count(l.logText(), "cannot reload the policy")
		if err := l.process.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		l.until("reloaded", func(s report.Status) bool {
			return strings.Count(l.logText(), "cannot reload the policy") > times && s.Policy.Rules != nil
		})
	}
}
