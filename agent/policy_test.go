package agent_test

import (
	"context"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/policy"
)

const (
	plainWeb   = "services: {web: {image: \"app:$TAG\"}}\n"
	capableWeb = "services:\n  web:\n    image: \"app:$TAG\"\n    cap_add: [NET_ADMIN]\n"

	addsIt = "service web adds the capability NET_ADMIN: policy.capabilities does not allow it"
)

// under gives the agent a policy that the test changes, as SIGHUP does.
func (w *world) under(rules *policy.Policy) *policy.Current {
	current := policy.NewCurrent(rules)
	w.change = func(p *agent.Parts) { p.Policy = current }
	return current
}

var strict = &policy.Policy{Strict: true}

// TestPolicyHoldsACommit refuses a commit before its plan: it is held, a later commit that
// changes nothing is refused too, and a policy that allows it lets a retry pass.
func TestPolicyHoldsACommit(t *testing.T) {
	inWorld(t, func(w *world) {
		current := w.under(strict)
		w.start()
		first := w.wantLast(w.revision.Commit, record.Succeeded)
		commit := w.release("2", nodeDir+"docker-compose.yml", capableWeb)
		w.poll()
		sync := w.wantLast(commit, record.Failed)
		if sync.Stage != record.StagePolicy || sync.Wrote || sync.Transient || sync.Error != nodeDir+"docker-compose.yml:4: "+addsIt || !strings.Contains(sync.Hint, "policy.capabilities.web") {
			t.Errorf("refused as %+v", sync)
		}
		if w.plans() != 1 {
			t.Errorf("%d plans were applied", w.plans())
		}
		w.runs("1")
		w.poll()
		if last := w.last(); last.ID != sync.ID {
			t.Errorf("it is tried again: %+v", last)
		}
		later := w.commit("3", "README.md", "x")
		w.poll()
		if sync := w.wantLast(later, record.Failed); sync.Stage != record.StagePolicy || sync.Unchanged {
			t.Errorf("the next commit: %+v", sync)
		}
		if status := w.desk.Status(); status.Policy == nil || !status.Policy.Rules.Strict || status.Applied.Commit != first.Commit {
			t.Errorf("status: %+v", status)
		}
		current.Reload(&policy.Policy{Strict: true, Capabilities: policy.PerService{"web": {"NET_ADMIN"}}}, nil)
		if _, err := w.desk.Retry(w.t.Context(), person, request.Retry{}, func(string) {}); err != nil {
			t.Fatal(err)
		}
		w.wantLast(later, record.Succeeded)
		w.runs("2")
	})
}

// TestPolicyRefusesRollbacks narrows the policy: neither a user nor the agent rolls back to a
// good state that it does not allow.
func TestPolicyRefusesRollbacks(t *testing.T) {
	inWorld(t, func(w *world) {
		current := w.under(nil)
		w.release("1", configFile, automatic, nodeDir+"docker-compose.yml", capableWeb)
		w.start()
		w.release("2", nodeDir+"docker-compose.yml", plainWeb)
		w.poll()
		w.wantLast(w.revision.Commit, record.Succeeded)
		if status := w.desk.Status(); status.Policy == nil || status.Policy.Rules != nil {
			t.Errorf("the policy without one: %+v", status.Policy)
		}

		current.Reload(strict, nil)
		applied := w.plans()
		if _, err := w.goBack(request.Rollback{}); err == nil || err.Error() != "the good state of sync #1: "+addsIt {
			t.Errorf("got %v", err)
		}
		current.Reload(nil, nil)
		w.wentBack(request.Rollback{})
		w.runs("1")

		current.Reload(strict, nil)
		w.breaks("3")
		bad := w.release("3")
		w.poll()
		sync := w.wantLast(bad, record.Failed)
		if taken := sync.Rollback; taken == nil || !strings.Contains(taken.Refused, addsIt) || !strings.Contains(taken.Hint, "agent history") {
			t.Errorf("the automatic rollback: %+v", taken)
		}
		if w.plans() != applied+2 {
			t.Errorf("%d plans were applied since", w.plans()-applied)
		}
	})
}

// TestPolicyBoundsAnInterruptedRollout has the agent start again in the middle of a rollout,
// with a narrower policy: nothing more is written.
func TestPolicyBoundsAnInterruptedRollout(t *testing.T) {
	inWorld(t, func(w *world) {
		w.under(nil)
		w.start()
		w.set(func() { w.onApply = func(ctx context.Context) { <-ctx.Done() } })
		commit := w.release("2", nodeDir+"docker-compose.yml", capableWeb)
		w.poll()
		w.wantLast(commit, record.Running)
		w.halt()
		w.onApply = nil
		applied := w.plans()
		w.under(strict)
		w.start()
		if sync := w.wantLast(commit, record.Failed); sync.Stage != record.StagePolicy || !sync.Wrote || w.plans() != applied {
			t.Errorf("%d plans since, %+v", w.plans()-applied, sync)
		}
	})
}

// TestPolicyLeavesDrift narrows the policy over what runs, and changes a service by hand: the
// correction is refused once, in the status and the log. No sync fails, GitLab is told
// nothing, and the loop keeps its pace. With another policy the drift is corrected.
func TestPolicyLeavesDrift(t *testing.T) {
	for name, rolledBack := range map[string]bool{"after a sync": false, "after a rollback": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				current := w.under(nil)
				w.release("1", configFile, automatic+"drift: correct\n", nodeDir+"docker-compose.yml", capableWeb)
				w.start()
				if rolledBack {
					w.breaks("2")
					w.release("2")
					w.poll()
					w.wantLast(w.revision.Commit, record.RolledBack)
				}
				last, told, applied := w.last(), len(w.states(w.revision.Commit)), w.plans()
				current.Reload(strict, nil)
				w.set(func() { w.live = map[string]swarm.ServiceSpec{} })
				for range 3 {
					w.poll()
					status := w.desk.Status()
					if len(status.Drift) != 1 || len(status.Forbidden) != 1 || !strings.Contains(status.Forbidden[0].Error, addsIt) || status.PollError != "" {
						t.Fatalf("drift %v, refused %v, poll error %q", status.Drift, status.Forbidden, status.PollError)
					}
					if next := report.NextFor(&status); !rolledBack && !strings.Contains(next, "policy in agent.yml") {
						t.Errorf("next: %s", next)
					}
				}
				if now := w.last(); now.ID != last.ID || len(w.states(w.revision.Commit)) != told || w.plans() != applied {
					t.Errorf("sync #%d after #%d; %d statuses, %d plans more", now.ID, last.ID, len(w.states(w.revision.Commit))-told, w.plans()-applied)
				}
				current.Reload(nil, nil)
				w.poll()
				w.runs("1")
				if status := w.desk.Status(); len(status.Drift) != 0 || len(status.Forbidden) != 0 {
					t.Errorf("drift %v, refused %v", status.Drift, status.Forbidden)
				}
			})
		})
	}
}

// TestChangedRulesJudgeAnew has the policy, the limits and the bounds of credentials refuse a
// commit: a later one that changes nothing is refused itself, and after a change of the
// node's rules the held commit is judged again without `agent retry`.
func TestChangedRulesJudgeAnew(t *testing.T) {
	small := limits.Default()
	small.Services = 1
	bound := &policy.Policy{Checks: &policy.Checks{Credentials: policy.PerService{"harbor.token": {"evil.example"}}}}
	more := "services: {web: {image: \"app:$TAG\"}, db: {image: \"app:$TAG\"}}\n"
	for name, test := range map[string]struct {
		rules   *policy.Policy
		limits  limits.Limits
		changes []string
		stage   record.Stage
		then    *policy.Policy
	}{
		"policy":      {strict, limits.Default(), []string{nodeDir + "docker-compose.yml", capableWeb}, record.StagePolicy, nil},
		"limits":      {nil, small, []string{nodeDir + "docker-compose.yml", more}, record.StageRender, nil},
		"credentials": {nil, limits.Default(), []string{configFile, authorsCheck}, record.StageRender, bound},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				node := func(rules *policy.Policy, most limits.Limits) {
					w.change = func(p *agent.Parts) { p.Policy, p.Settings.Limits = policy.NewCurrent(rules), most }
				}
				node(test.rules, test.limits)
				w.start()
				bad := w.release("2", test.changes...)
				w.poll()
				first := w.wantLast(bad, record.Failed)
				if first.Stage != test.stage || first.Transient || first.Wrote {
					t.Fatalf("refused as %+v", first)
				}
				later := w.commit("3", "README.md", "x")
				w.poll()
				if sync := w.wantLast(later, record.Failed); sync.Unchanged {
					t.Errorf("the next commit shares the refusal: %+v", sync)
				}
				held := w.last()
				w.halt()
				w.start()
				w.poll()
				if sync := w.wantLast(later, record.Failed); sync.ID != held.ID {
					t.Errorf("the same rules judge again, in #%d", sync.ID)
				}
				w.halt()
				node(test.then, limits.Default())
				w.start()
				w.poll()
				if sync := w.last(); sync.ID == held.ID || sync.Stage == test.stage && !sync.Transient && sync.State == record.Failed {
					t.Errorf("other rules do not judge: #%d %s at %s: %s", sync.ID, sync.State, sync.Stage, sync.Error)
				}
			})
		})
	}
}
