package report

import (
	"fmt"
	"strings"

	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/record"
)

// NextStep says what a person is to do about a sync, the most useful first; "" for
// nothing. It is what status, show, reports and notices have.
func NextStep(sync *record.Sync) string {
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
			return "see to " + sync.Group.Failed + "; then `agent retry` on the secondaries, and on the primaries, rolls out this commit again"
		}
		return "mend or revert the release by a merge; `agent resume` rolls out this commit again"
	case record.Succeeded, record.Superseded:
	}
	return ""
}

// NextFor says what a person is to do about the node.
func NextFor(s *Status) string {
	switch {
	case !s.Running:
		return "`systemctl start coin-agent`; `journalctl -u coin-agent` says why it ended"
	case s.Sync != nil && !s.Sync.State.Final():
		return NextStep(s.Sync)
	case s.PollError != "" && (s.Sync == nil || s.Sync.State == record.Succeeded):
		return "`agent doctor` says what does not answer, and the remedy; what runs goes on to run"
	case s.Sync == nil:
		return "wait: the agent looks for the first time"
	case s.Sync.State != record.Succeeded && s.Desired != nil && s.Sync.Commit != s.Desired.Commit:
		return "wait for the next look: a newer commit is there"
	case s.Sync.State != record.Succeeded:
		return NextStep(s.Sync)
	case s.Sync.Group != nil && s.Sync.Group.Failed != "":
		return "see to " + s.Sync.Group.Failed + ", which failed with this commit, or `agent rollback` here, too"
	case len(s.Drift) > 0:
		return "`agent diff` shows what was changed by hand, `agent sync` puts back what was applied"
	case s.InSync && len(s.Lacking()) > 0:
		return "`docker service ps --no-trunc " + s.Lacking()[0] + "` says why; or `agent rollback`"
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
		return "nothing: it is tried again by itself; should it stay so: `agent doctor`"
	case back != nil && back.Refused != "" && back.To != 0:
		return fmt.Sprintf("decide what is to become of it: `agent show %d -o report` says what lies between", sync.ID)
	case back != nil && back.Error != "":
		return fmt.Sprintf("see what did not come back: `agent show %d`; `agent rollback` tries it again", sync.ID)
	case sync.Dirty() != 0 && (back == nil || back.To != 0):
		return "mend or revert it by a merge, or `agent rollback`; `agent retry` tries this commit again"
	}
	return "mend or revert it by a merge; `agent retry` tries this commit again"
}

// nextAtGates says what opens each gate that a sync waits at.
func nextAtGates(sync *record.Sync) string {
	steps := []string{"wait: it goes on by itself"}
	if step := gates.Next(gates.All(gates.Parts{}), sync); step != "" {
		steps[0] = step
	}
	if begun := sync.Dirty(); begun != 0 {
		steps = append(steps, fmt.Sprintf("what runs is of sync #%d, which was not proven: `agent rollback` takes it back", begun))
	}
	return strings.Join(steps, "; ")
}
