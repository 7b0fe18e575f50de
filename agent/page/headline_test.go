package page_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	gitsync "coin.internal/coin-agent/sync"
)

// headline gives the first two lines of the overview, with the sign, and its next step.
func headline(t *testing.T, w *world) string {
	t.Helper()
	part := regexp.MustCompile(`(?s)<section id="verdict".*?</section>`).FindString(get(t, w.handler(), "/").Body.String())
	return strings.Join(strings.Fields(strings.ReplaceAll(tags.ReplaceAllString(part, " "), "&#34;", `"`)), " ")
}

// The headline has the words that `agent status` has, for each state of a node. Its sign is
// that of the state.
func TestHeadline(t *testing.T) {
	const commit, other = "1111111111", "2222222222"
	healthy := &health.Verdict{State: health.Healthy, All: 3, Run: 3}
	sync := func(of string, state record.State, change func(*record.Sync)) func(*report.Status) {
		return func(s *report.Status) {
			s.InSync = state == record.Succeeded
			s.Desired, s.Sync = &gitsync.Revision{Commit: of}, &record.Sync{ID: 7, Commit: of, State: state, Stage: record.StageVerify}
			if change != nil {
				change(s.Sync)
			}
		}
	}
	waits := func(s *record.Sync) {
		s.Stage, s.Waiting, s.Gates = record.StageGate, "approval 0/2", []record.Gate{{Name: record.GateApproval, Waiting: "approval 0/2", Since: at}}
	}
	for name, test := range map[string]struct {
		change func(*report.Status)
		want   string
	}{
		"in sync": {sync(commit, record.Succeeded, nil), "✓ HEALTHY · in sync with 1111111111 3 of 3 services run Next: nothing to do"},
		"drifted": {func(s *report.Status) {
			sync(commit, record.Succeeded, nil)(s)
			s.InSync, s.Drift = false, []deploy.Step{{Action: deploy.Update, Kind: deploy.Service, Name: "coin_web"}}
		}, "! HEALTHY · drifted from 1111111111 3 of 3 services run Next: agent diff shows"},
		"waiting": {sync(other, record.Waiting, waits), "! HEALTHY · 2222222222 is waiting 3 of 3 services run Next: approve"},
		"paused": {func(s *report.Status) {
			sync(commit, record.Succeeded, nil)(s)
			s.Pause = &record.Pause{Reason: "the fair", Since: at}
		}, "! HEALTHY · in sync with 1111111111, paused 3 of 3 services run Next: nothing to do; agent resume ends the pause"},
		"degraded": {func(s *report.Status) {
			sync(commit, record.Succeeded, nil)(s)
			s.Health = &health.Verdict{State: health.Degraded, All: 3, Run: 2, Services: []health.Service{{Name: "coin_web", Short: "web", Running: 0, Desired: 1}}}
		}, "✕ DEGRADED · in sync with 1111111111 web 0/1 · 2 of 3 services run Next: docker service ps --no-trunc coin_web says why"},
		"rolling out": {func(s *report.Status) { // what the last look saw of the services is from before the rollout
			sync(other, record.Running, nil)(s)
			s.Progress, s.Rollout = "verify", &report.Rollout{Started: at, Services: []deploy.ServiceResult{{Name: "coin_web", State: deploy.Pending, Want: 1}, {Name: "coin_db", State: deploy.Converged}}}
		}, "! ROLLING OUT · 2222222222 is running 1 of 2 services ready Next: wait"},
		"rolling out, writing": {func(s *report.Status) {
			sync(other, record.Running, nil)(s)
			s.Progress = "apply: update service coin_web"
		}, "! ROLLING OUT · 2222222222 is running Next: wait"},
		"rolling back": {func(s *report.Status) {
			sync(other, record.Running, func(s *record.Sync) { s.Rollback = &record.Rollback{To: 6, Commit: commit} })(s)
			s.Progress = "verify"
			s.Health = &health.Verdict{State: health.Unhealthy, All: 3, Run: 2, Services: []health.Service{{Name: "coin_web", Short: "web", Desired: 1}}}
		}, "! ROLLING BACK · rolling back to 1111111111"},
		"interrupted": {func(s *report.Status) { // the agent does not work at it
			sync(other, record.Running, nil)(s)
		}, "! HEALTHY · 2222222222 is running 3 of 3 services run Next: wait"},
		"failed": {sync(other, record.Failed, nil), "✕ FAILED, nothing changed · still 1111111111 3 of 3 services run Next: fix or revert it"},
		"rolled back": {
			sync(other, record.RolledBack, func(s *record.Sync) {
				s.Rollback = &record.Rollback{To: 6, Commit: commit, Finished: at}
			}),
			"! HEALTHY · rolled back to 1111111111 3 of 3 services run Next:",
		},
		"the remote does not answer": {func(s *report.Status) {
			sync(commit, record.Succeeded, nil)(s)
			s.InSync, s.PollError = false, "ask the remote: no route to host"
		}, "✕ HEALTHY · last look failed, still 1111111111 3 of 3 services run Next: agent doctor shows"},
		"the branch was rewritten": {func(s *report.Status) {
			sync(commit, record.Succeeded, nil)(s)
			s.InSync, s.PollError, s.PollCode = false, "the branch's history was rewritten", fault.CodeBranch
		}, "✕ HEALTHY · last look failed, still 1111111111 3 of 3 services run Next: agent explain branch says what to check"},
		"GitLab refuses statuses": {func(s *report.Status) {
			sync(commit, record.Succeeded, nil)(s)
			s.GitLab = &gitlab.Health{LastError: "401 Unauthorized"}
		}, "✓ HEALTHY · in sync with 1111111111 3 of 3 services run"},
		"the engine is gone": {func(s *report.Status) {
			sync(commit, record.Succeeded, nil)(s)
			s.Unknown = &report.Unknown{Since: time.Now().Add(-2*time.Hour - time.Minute), Why: "the engine does not answer"}
		}, "✕ UNKNOWN for 2 h: the engine does not answer · in sync with 1111111111 Next: agent doctor shows what does not answer"},
	} {
		status := report.Status{
			Environment: "sandbox", Node: "node3", Stack: "coin", Running: true, Health: healthy, Observed: at, LastLook: at,
			Applied: &report.AppliedStatus{Commit: commit, At: at},
		}
		test.change(&status)
		status.Pinned = report.PinnedAt(status.Sync)
		status.Next = report.NextFor(&status)
		w := &world{status: status}
		got := headline(t, w)
		if !strings.HasPrefix(got, test.want) {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, test.want)
		}
		word, rest := report.Headline(&status)
		for part := range strings.SplitSeq(word+" · "+rest, " · ") {
			if !strings.Contains(got, part) {
				t.Errorf("%s: agent status says %q, the page does not: %s", name, part, got)
			}
		}
	}
}
