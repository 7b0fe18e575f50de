package report

import (
	"fmt"
	"strings"

	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
)

// NextStep says what a user does next about a sync, the most useful first; "" for
// nothing. status, show, reports and notices use it.
func NextStep(sync *record.Sync) string { return sync.Key.In(nextStep(sync)) }

func nextStep(sync *record.Sync) string {
	switch sync.State {
	case record.Waiting:
		return nextAtGates(sync)
	case record.Pending, record.Running:
		return "wait; `agent status --watch` follows it"
	case record.Failed:
		return nextAfterFailure(sync)
	case record.RolledBack:
		if sync.Resumed() {
			return "wait: it is rolled out again"
		}
		if sync.RolledBackByGroup() {
			return "fix " + sync.Group.Failed + "; then `agent retry` on the secondaries, and on the primaries, rolls out this commit again"
		}
		return "fix or revert the release by a merge; `agent resume` rolls out this commit again"
	case record.New, record.Succeeded, record.Superseded:
	}
	return ""
}

// NextFor says what a user does next about the node.
func NextFor(s *Status) string {
	if s.Sync == nil {
		return nextFor(s)
	}
	return s.Sync.Key.In(nextFor(s))
}

func nextFor(s *Status) string {
	switch {
	case !s.Running:
		return "`systemctl start coin-agent`; `journalctl -u coin-agent` shows why it ended"
	case s.Left != nil:
		return s.Left.next(s.Stack)
	case s.Unknown != nil && !s.Unknown.Working:
		return "`agent doctor` shows what does not answer, and the remedy"
	case s.Unknown != nil && s.Unknown.Other != "":
		return "wait: the agent looks at this stack after the rollout of " + s.Unknown.Other
	case s.Mode != "" && s.Sync != nil && s.Sync.Wrote && s.Sync.CarriesOn():
		return fmt.Sprintf("sync #%d was interrupted; to have it continued, remove `mode: observe` from agent.yml and run `systemctl restart coin-agent`", s.Sync.ID)
	case s.Sync != nil && !s.Sync.State.Final():
		return NextStep(s.Sync)
	case s.PollCode == fault.CodeBranch && (s.Sync == nil || s.Sync.State == record.Succeeded): // the remote answers
		return "`agent explain branch` says what to check; the services keep running"
	case s.PollError != "" && (s.Sync == nil || s.Sync.State == record.Succeeded):
		return "`agent doctor` shows what does not answer, and the remedy; the services keep running"
	case s.Sync == nil:
		return "wait for the first look"
	case s.Sync.State != record.Succeeded && s.Desired != nil && s.Sync.Commit != s.Desired.Commit:
		return "wait: the next look syncs a newer commit"
	case s.Sync.State != record.Succeeded:
		return NextStep(s.Sync)
	case s.Sync.Group != nil && s.Sync.Group.Failed != "":
		return "fix " + s.Sync.Group.Failed + ", which failed with this commit, or run `agent rollback` here, too"
	case len(s.Contests) > 0:
		return NextOfContest
	case len(s.Forbidden) > 0:
		return "have the node's operator change the policy in agent.yml and reload it, or commit what it allows"
	case len(s.Drift) > 0:
		return "`agent diff` shows what was changed by hand, `agent sync` restores the applied state"
	case !s.Healthy() && s.Sync.Rollback != nil && s.Sync.Rollback.Refused != "":
		return decideRefused(s.Sync)
	case !s.Healthy():
		return "`docker service ps --no-trunc " + s.Health.Services[0].Name + "` says why; or `agent rollback`"
	case s.Pause != nil:
		return "nothing to do; `agent resume` ends the pause"
	case !s.InSync:
		return "wait for the next look"
	case len(s.Overdue) > 0:
		return "rotate the secrets that are overdue"
	}
	return "nothing to do"
}

func nextAfterFailure(sync *record.Sync) string {
	back := sync.Rollback
	switch {
	case sync.Transient:
		return "nothing: it is tried again automatically; if it keeps failing, run `agent doctor`"
	case back != nil && back.Refused != "" && back.To != 0:
		return decideRefused(sync)
	case back != nil && back.Error != "":
		return fmt.Sprintf("`agent show %d` shows what is unhealthy; `agent rollback` tries it again", sync.ID)
	case sync.Dirty() != 0 && (back == nil || back.To != 0):
		return "fix or revert it by a merge, or `agent rollback`; `agent retry` tries this commit again"
	}
	return "fix or revert it by a merge; `agent retry` tries this commit again"
}

// decideRefused says what a user does when a rollback was refused.
func decideRefused(sync *record.Sync) string {
	return fmt.Sprintf("decide how to continue: `agent show %d -o report` shows why it was not rolled back", sync.ID)
}

// nextAtGates says what opens each gate that a sync waits at.
func nextAtGates(sync *record.Sync) string {
	steps := []string{"wait: it continues automatically"}
	if step := gates.Next(gates.All(gates.Parts{}), sync); step != "" {
		steps[0] = step
	}
	if begun := sync.Dirty(); begun != 0 {
		steps = append(steps, fmt.Sprintf("unverified changes of sync #%d are deployed: `agent rollback` reverts them", begun))
	}
	return strings.Join(steps, "; ")
}
