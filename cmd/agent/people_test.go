package main

import (
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// approvedRepo is a repository of one service that needs bob's approval.
func (l *lab) approvedRepo(tag string) map[string]string {
	l.swarm.Image(l.t, imageA, imageB)
	return map[string]string{
		"environments/sandbox/config.yml": "environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c, stack: " + l.stack + "}]\n" +
			"deployment: {health_check: {timeout: 3m}}\napproval: {required: true, approvers: [bob]}\n",
		node3 + "node.env":           "TAG=" + tag + "\n",
		node3 + "docker-compose.yml": "services: {web: {image: \"coin-test/app:$TAG\", stop_grace_period: 1s, environment: {LISTEN_PORTS: 0}, " + quickly + "}}\n" + onHost,
	}
}

// waitsFor waits until a commit waits with these words.
func (l *lab) waitsFor(commit, words string) *record.Sync {
	l.t.Helper()
	return l.until("waiting: "+words, func(s report.Status) bool {
		return s.Sync != nil && s.Sync.Commit == commit && s.Sync.State == record.Waiting && strings.Contains(s.Sync.Waiting, words)
	}).Sync
}

// TestPeople lets people approve, pause, resume and override, in GitLab and on the
// node, on a real Swarm.
func TestPeople(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	first := l.commit("first", l.approvedRepo("1"))
	request := l.gitlab.AddMerge(gitlabtest.Merge{Commit: first, Author: "ada"})
	l.start()

	l.step("a merge request is approved", func() {
		l.waitsFor(first, "!1 has 0 of 1 approvals (of bob)")
		l.gitlab.Approve(request, "ada", "eve")
		l.mustRun(exitDifferent, []string{"waiting: approval is required", ": !1 has 0 of 1"}, "sync", "--wait")
		l.mustRun(exitDifferent, []string{"waiting: approval is required", ": !1 has 0 of 1"}, "status")
		l.metric(`coin_agent_waiting{environment="sandbox",gate="approval",node="node3"} 1`)
		l.gitlab.Approve(request, "Bob")
		if done := l.await(first, record.Succeeded).Sync; done.Approval == nil || done.Approval.MergeRequest != request {
			l.t.Errorf("approval %+v", done.Approval)
		}
		if states := strings.Join(l.posts(first, "success"), " "); states != "pending running success" {
			l.t.Errorf("GitLab has %s", states)
		}
	})
	l.step("a direct push, and a word on the node", func() {
		pushed := l.commit("pushed", map[string]string{node3 + "node.env": "TAG=2\n"})
		sync := l.waitsFor(pushed, "no merge request brought this commit")
		l.mustRun(exitUsage, []string{"--reason is missing"}, "approve", pushed[:10])
		l.mustRun(exitUsage, []string{"name the commit that waits"}, "approve", "--reason", "x")
		l.mustRun(exitError, []string{"agent: error: the rollout that waits is that of " + pushed[:10], "agent: hint: "}, "approve", first[:10], "--reason", "x")
		l.mustRun(exitError, []string{"agent: error: the plan is " + sync.PlanDigest[:10]}, "approve", pushed[:10], "--reason", "x", "--plan", "0123456789")
		l.mustRun(exitDone, []string{"approved: plan " + sync.PlanDigest[:10]}, "approve", pushed[:7], "--reason", "the board agreed by phone", "--plan", sync.PlanDigest[:10])
		l.await(pushed, record.Succeeded)
		l.posts(pushed, "success")
		if text := l.described(pushed); !strings.Contains(text, "approved on the node by ") || !strings.HasSuffix(text, ": the board agreed by phone") {
			l.t.Errorf("described as %q", text)
		}
		l.mustRun(exitDone, []string{`"reason": "the board agreed by phone"`, `"source": "node"`}, "history", "-o", "json")
		l.mustRun(exitDone, []string{"approve", "the board agreed by phone"}, "audit", "log")
		l.mustRun(exitError, []string{"no rollout waits for approval"}, "approve", pushed[:7], "--reason", "x")
	})
	l.step("paused over a kill, and resumed", func() {
		l.mustRun(exitUsage, []string{"--reason is missing"}, "pause")
		l.mustRun(exitUsage, []string{`--for "2" is not a valid duration`}, "pause", "--for", "2", "--reason", "x")
		l.mustRun(exitDone, []string{"paused until "}, "pause", "--for", "1h", "--reason", "the database is moved")
		l.mustRun(exitDone, []string{"the database is moved"}, "status")
		l.metric(`coin_agent_paused{environment="sandbox",node="node3"} 1`)
		held := l.commit("third", map[string]string{node3 + "node.env": "TAG=1\n"})
		l.gitlab.Approve(l.gitlab.AddMerge(gitlabtest.Merge{Commit: held, Squash: true}), "bob")
		l.waitsFor(held, ": the database is moved")
		l.kill()
		l.recorder.Reset()
		l.start()
		l.looks(2)
		l.waitsFor(held, ": the database is moved")
		if writes := l.recorder.Writes(); len(writes) > 0 {
			l.t.Errorf("it did not wait: %v", writes)
		}
		l.describedAs(held, "waiting (pause): paused by ")
		l.mustRun(exitDifferent, []string{"waiting: paused by "}, "sync", "--wait")
		l.mustRun(exitDone, []string{"resumed: the pause by "}, "resume")
		l.await(held, record.Succeeded)
		l.mustRun(exitError, []string{"nothing is paused", "agent: hint: "}, "resume")
		l.mustRun(exitError, []string{"no revision is held", "agent: hint: "}, "retry")
	})
	l.step("frozen, and overridden", func() {
		config := l.approvedRepo("2")["environments/sandbox/config.yml"] + "freeze: [{name: always, " + freezeNow() + "}]\n"
		frozen := l.commit("fourth", map[string]string{"environments/sandbox/config.yml": config, node3 + "node.env": "TAG=2\n"})
		l.gitlab.Approve(l.gitlab.AddMerge(gitlabtest.Merge{Commit: frozen, Fast: true}), "bob")
		l.waitsFor(frozen, "frozen until ")
		l.mustRun(exitUsage, []string{"--reason is missing"}, "sync", "--override-freeze")
		l.mustRun(exitDone, nil, "sync", "--wait", "--override-freeze", "--reason", "the fix of an outage")
		l.await(frozen, record.Succeeded)
		l.posts(frozen, "success")
		if text := l.described(frozen); !strings.Contains(text, "freeze always overridden by ") {
			l.t.Errorf("described as %q", text)
		}
	})
}
