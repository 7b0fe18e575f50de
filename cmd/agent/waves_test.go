package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// awoken lists the cron services that came back after a rollout of a commit that did
// not come to its end.
func (l *lab) awoken(commit string) (names []string) {
	l.t.Helper()
	for _, entry := range decode[[]audit.Entry](l.t, l.mustRun(exitDone, nil, "audit", "log", "-o", "json")) {
		if entry.Action == audit.ScaleUp && entry.Revision == commit && entry.Outcome == audit.Succeeded {
			names = append(names, strings.TrimPrefix(entry.Name, l.stack+"_"))
		}
	}
	return names
}

// wavesCompose has a migration whose outcome node.env says.
var wavesCompose = strings.Replace(smallCompose, "environment: {APP_RELEASE: $TAG_MIGRATE}\n    secrets: [db_access]\n    deploy: {endpoint_mode: dnsrr, restart_policy: {condition: on-failure, max_attempts: 1, delay: 1s}}",
	"environment: {APP_RELEASE: $TAG_MIGRATE, JOB_FAIL: $JOB_FAIL, JOB_DELAY: $JOB_DELAY}\n    secrets: [db_access]\n    deploy: {endpoint_mode: dnsrr, restart_policy: {condition: none}}", 1)

// TestWaves fails a migration, tries it again, and kills the agent while it waits for
// one: services of the next wave stay as they are, and cron services come back.
func TestWaves(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	env := func(tag, fail, delay string) map[string]string {
		return map[string]string{node3 + "node.env": l.nodeEnv(tag, "JOB_FAIL="+fail+"\nJOB_DELAY="+delay)}
	}
	files := l.smallRepo()
	files[node3+"docker-compose.yml"] = wavesCompose
	files[node3+"node.env"] = env("1", "none", "0s")[node3+"node.env"]
	first := l.commit("first", files)
	l.running(first)
	before := l.versions()

	second := l.commit("a migration that fails", env("2", "migrate", "0s"))
	l.await(second, record.Failed)
	if diff := cmp.Diff([]string{"cron_service", "migrate"}, changed(before, l.versions())); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"pending", "running", "failed"}, l.posts(second, "failed")); diff != "" {
		t.Error(diff)
	}
	l.finds("the commit's status", l.described(second), `^apply: service NAME_migrate: task: non-zero exit \(1\): app: error: job migrate: failed on demand`, `\(wave 2 did not start, 2 services not changed; `)
	if replicas := l.replicas("cron_service"); replicas != 1 {
		t.Errorf("cron_service is left at %d", replicas)
	}
	if diff := cmp.Diff([]string{"cron_service"}, l.awoken(second)); diff != "" {
		t.Error(diff)
	}
	tasks := len(l.swarm.Tasks(t, l.stack+"_migrate"))
	l.mustRun(exitDifferent, []string{"migrate  (runs again because it failed)", "wave 1\n", "wave 2, when the earlier waves are healthy\n"}, "diff")
	l.mustRun(exitError, []string{"migrate: task: non-zero exit (1)"}, "sync", "--wait")
	if after := len(l.swarm.Tasks(t, l.stack+"_migrate")); after != tasks+1 {
		t.Errorf("the retry made %d tasks of %d", after, tasks)
	}
	l.killedInAWave(env)
}

// killedInAWave kills the agent while it waits for a migration; then comes a commit
// that cannot be rolled out, and then one that can.
func (l *lab) killedInAWave(env func(tag, fail, delay string) map[string]string) {
	l.t.Helper()
	before := l.versions()
	slow := l.commit("a slow migration", env("2", "none", "1h"))
	l.until("it waits for the migration", func(s report.Status) bool {
		return s.Sync.Commit == slow && strings.HasPrefix(s.Progress, "before wave 2: ") && s.Rollout != nil
	})
	l.kill()
	if replicas := l.replicas("cron_service"); replicas != 0 {
		l.t.Errorf("cron_service is at %d in the middle", replicas)
	}
	broken := l.commit("broken", map[string]string{node3 + "node.env": "TAG=$(ls)\n"})
	l.start()
	l.await(broken, record.Failed)
	l.until("the cron service is back", func(report.Status) bool { return l.replicas("cron_service") == 1 })
	if diff := cmp.Diff([]string{"cron_service"}, l.awoken(broken)); diff != "" {
		l.t.Error(diff)
	}
	if diff := cmp.Diff([]string{"cron_service", "migrate"}, changed(before, l.versions())); diff != "" {
		l.t.Error(diff)
	}
	good := l.commit("good", env("2", "none", "0s"))
	l.await(good, record.Succeeded)
	if image := l.service("web").Spec.TaskTemplate.ContainerSpec.Image; image != imageB {
		l.t.Errorf("web runs %s", image)
	}
	if replicas := l.replicas("cron_service"); replicas != 1 {
		l.t.Errorf("cron_service is left at %d", replicas)
	}
	l.mustRun(exitDone, []string{"no difference"}, "diff")
}
