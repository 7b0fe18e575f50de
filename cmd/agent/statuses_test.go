package main

import (
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// with gives the small compose file with one text in place of another.
func with(t *testing.T, old, text string) map[string]string {
	t.Helper()
	if !strings.Contains(smallCompose, old) {
		t.Fatalf("the compose file has no %q", old)
	}
	return map[string]string{node3 + "docker-compose.yml": strings.Replace(smallCompose, old, text, 1)}
}

// fails commits what cannot work and checks that everybody is told: GitLab in
// the description, the operator in the status, with the engine's own words.
func (l *lab) fails(message string, files map[string]string, words ...string) string {
	l.t.Helper()
	commit := l.commit(message, files)
	l.await(commit, record.Failed)
	if states := strings.Join(l.posts(commit, "failed"), " "); states != "pending running failed" {
		l.t.Errorf("GitLab has %s", states)
	}
	for _, word := range words {
		if text := l.described(commit); !strings.Contains(text, word) {
			l.t.Errorf("described without %q: %s", word, text)
		}
	}
	l.mustRun(exitDifferent, append(words, "failed", "held: "), "status")
	l.metric(`deployment_status{environment="sandbox",node="node3"} 0`)
	return commit
}

// TestHeld breaks the stack by a commit and mends it by the next; in between nothing
// is tried by itself. How else releases break, TestOutcomes shows.
func TestHeld(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	files := l.smallRepo()
	files[configFile] += "images: {missing: warn}\n" // otherwise the sync stops at its plan
	l.running(l.commit("first", files))
	good := map[string]string{node3 + "docker-compose.yml": smallCompose, node3 + "node.env": l.nodeEnv("1", "")}

	l.step("image that is not there", func() {
		broken := l.fails("bad tag", map[string]string{node3 + "node.env": l.nodeEnv("1", "TAG_WEB=nowhere")}, l.stack+"_web", "No such image")
		l.recorder.Reset()
		l.looks(3)
		if writes := l.recorder.Writes(); len(writes) > 0 {
			l.t.Errorf("a held revision was tried again: %v", writes)
		}
		if status := l.until("held", func(s report.Status) bool { return s.Sync.Commit == broken }); status.Sync.ID != 2 {
			l.t.Errorf("sync #%d", status.Sync.ID)
		}
		l.mustRun(exitError, []string{"agent: error: ", l.stack + "_web", "No such image"}, "sync", "--wait")
		if status := l.looks(1); status.Sync.ID != 3 || status.Sync.Trigger != "manual" {
			l.t.Errorf("`agent sync` did not try again: %+v", status.Sync)
		}
		elsewhere := l.commit("elsewhere", map[string]string{"README.md": "nothing of node3"})
		l.posts(elsewhere, "failed")
		if text := l.described(elsewhere); !strings.Contains(text, "unchanged since "+broken[:10]) {
			l.t.Errorf("described as %q", text)
		}
	})
	l.step("mended", func() {
		mended := l.commit("good tag", good)
		l.await(mended, record.Succeeded)
		if states := strings.Join(l.posts(mended, "success"), " "); states != "pending running success" {
			l.t.Errorf("GitLab has %s", states)
		}
		l.mustRun(exitDone, []string{"in sync"}, "status")
		l.metric(`deployment_status{environment="sandbox",node="node3"} 1`)
	})
}

// TestOvertaken merges faster than the node rolls out.
func TestOvertaken(t *testing.T) {
	l, first := newSmallLab(t)
	l.running(first)
	slow := with(t, "environment: {APP_RELEASE: $TAG_MIGRATE}", "environment: {APP_RELEASE: $TAG_MIGRATE, JOB_DELAY: 1h}")
	waits := func(commit string) {
		l.until("waiting for services", func(s report.Status) bool {
			return s.Sync.Commit == commit && (s.Sync.Stage == "verify" || strings.HasPrefix(s.Progress, "before wave"))
		})
	}
	l.step("by a commit during its rollout", func() {
		stuck := with(t, "APP_RELEASE: $TAG_WEB}\n    healthcheck: {test: [\"CMD\", \"/app\", \"health\"], interval: 2s, timeout: 20s, retries: 3}",
			"APP_RELEASE: $TAG_WEB, HEALTH_FAIL: \"1\"}\n    healthcheck: {test: [\"CMD\", \"/app\", \"health\"], interval: 1s, timeout: 20s, retries: 1000}")
		second := l.commit("stuck", stuck)
		waits(second)
		l.commit("of another node", map[string]string{"README.md": "no word of node3"})
		l.git.Requests()
		asked := 0
		l.until("looking on", func(report.Status) bool {
			asked += len(l.git.Requests())
			return asked > 5
		})
		if status, err := l.status(); err != nil || status.Sync.Commit != second || status.Sync.State != record.Running {
			l.t.Errorf("a commit of another node overtook it: %+v, %v", status.Sync, err)
		}
		third := l.commit("the fix", map[string]string{node3 + "docker-compose.yml": smallCompose, node3 + "node.env": l.nodeEnv("1", "TAG_WEB=2")})
		l.await(third, record.Succeeded)
		if states := strings.Join(l.posts(second, "canceled"), " "); states != "pending running canceled" {
			l.t.Errorf("GitLab has %s of the stuck one", states)
		}
		if states := strings.Join(l.posts(third, "success"), " "); states != "pending running success" {
			l.t.Errorf("GitLab has %s of the fix", states)
		}
	})
	l.step("while the agent is down", func() {
		slow[node3+"node.env"] = l.nodeEnv("1", "TAG_MIGRATE=2")
		fourth := l.commit("slow again", slow)
		waits(fourth)
		l.kill()
		fifth := l.commit("quick again", map[string]string{node3 + "docker-compose.yml": smallCompose})
		l.start()
		l.await(fifth, record.Succeeded)
		if states := strings.Join(l.posts(fourth, "canceled"), " "); states != "pending running canceled" {
			l.t.Errorf("GitLab has %s", states)
		}
		if states := strings.Join(l.posts(fifth, "success"), " "); states != "pending running success" {
			l.t.Errorf("GitLab has %s", states)
		}
		syncs := decode[[]record.Sync](l.t, l.mustRun(exitDone, []string{"superseded"}, "history", "-o", "json"))
		if syncs[1].Commit != fourth || syncs[1].State != record.Superseded {
			l.t.Errorf("the history has %+v", syncs[1])
		}
	})
	l.step("while it waits for a person", func() {
		config := strings.Replace(l.smallRepo()["environments/sandbox/config.yml"], "deployment:", "deployment:\n  auto_deploy: false", 1)
		waiting := l.commit("not by itself", map[string]string{
			"environments/sandbox/config.yml": config, node3 + "node.env": l.nodeEnv("1", "TAG_WEB=1"),
		})
		l.until("waiting", func(s report.Status) bool { return s.Sync.Commit == waiting && s.Sync.State == record.Waiting })
		l.recorder.Reset()
		l.looks(2)
		if writes := l.recorder.Writes(); len(writes) > 0 {
			l.t.Errorf("it did not wait: %v", writes)
		}
		l.mustRun(exitDifferent, []string{"waiting: auto_deploy is off"}, "status")
		next := l.commit("nor the next", map[string]string{node3 + "node.env": l.nodeEnv("2", "")})
		if states := strings.Join(l.posts(waiting, "canceled"), " "); states != "pending canceled" {
			l.t.Errorf("GitLab has %s", states)
		}
		l.until("waiting", func(s report.Status) bool { return s.Sync.Commit == next && s.Sync.State == record.Waiting })
		l.mustRun(exitDone, nil, "sync", "--wait")
		l.await(next, record.Succeeded)
		if states := strings.Join(l.posts(next, "success"), " "); states != "pending running success" {
			l.t.Errorf("GitLab has %s", states)
		}
	})
}
