package agent

import (
	"fmt"

	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
)

// announce tells people what became of a sync. The outbox skips what it has told
// already. A commit that changes nothing here is no news, nor is one that waits for
// what comes by itself.
func (a *Agent) announce(sync *record.Sync) error {
	if a.Notices.Outbox == nil || sync.Unchanged || sync.Unattended() {
		return nil
	}
	n := a.notice(sync)
	n.Next, n.Again = NextStep(sync), sync.Transient
	switch sync.State {
	case record.Failed:
		announceFailure(&n, sync)
	case record.RolledBack:
		announceRollback(&n, sync)
	case record.Waiting:
		n.Event, n.Title = notify.Waiting, "rollout waits: "+sync.Waiting
		n.Details = []notify.Detail{{Text: sync.Summary}}
	case record.Succeeded:
		n.Event, n.Title, n.Quiet = notify.Success, "rolled out", !sync.Wrote
		n.Details = []notify.Detail{{Text: sync.Summary}}
	case record.Pending, record.Running, record.Superseded:
		return nil
	}
	return a.tell(n)
}

func (a *Agent) tell(n notify.Notice) error {
	if err := a.Notices.Outbox.Tell(n); err != nil {
		return fmt.Errorf("queue notice: %w", err)
	}
	return nil
}

// announceDelay tells that a rollback waits for what surrounds the agent: until then
// what failed goes on to run.
func (a *Agent) announceDelay(sync *record.Sync, why error) error {
	if a.Notices.Outbox == nil {
		return nil
	}
	n := a.notice(sync)
	n.Event, n.Title, n.Again = notify.Failure, "the rollback has to wait", true
	if sync.Error != "" {
		n.Title = "rollout failed at " + string(sync.FailedAt()) + ", and the rollback has to wait"
	}
	n.Details = append(faultDetails(sync), notify.Detail{Text: "to go back to " + named(sync.Rollback) + ": " + gates.OneLine(why), Hint: fault.Hint(why)})
	n.Next = nextAfterFailure(&record.Sync{Transient: true})
	return a.tell(n)
}

// announceFailure tells what failed, and why there was no way back where one was
// looked for.
func announceFailure(n *notify.Notice, sync *record.Sync) {
	n.Event, n.Title = notify.Failure, "rollout failed at "+string(sync.Stage)
	if sync.IsRollback() {
		n.Title = "rollback by hand failed"
	}
	n.Details = faultDetails(sync)
	back := sync.Rollback
	switch {
	case back == nil || sync.IsRollback():
	case back.Refused != "":
		n.Title += ", and is not rolled back"
		n.Details = append(n.Details, notify.Detail{Text: "not rolled back: " + back.Refused, Hint: back.Hint})
	case back.Error != "":
		n.Title += ", and the rollback is not proven"
		n.Details = append(n.Details, notify.Detail{Text: "after going back to " + named(back) + ": " + back.Error, Hint: back.Hint})
	}
	if !sync.Transient {
		n.Next = "the revision is held; " + n.Next
	}
}

// announceRollback tells that the node runs an earlier state now. By itself that is a
// failed rollout as well.
func announceRollback(n *notify.Notice, sync *record.Sync) {
	back := sync.Rollback
	n.Event, n.Details = notify.Rollback, faultDetails(sync)
	n.Details = append(n.Details, notify.Detail{Text: sync.Summary})
	switch {
	case sync.IsRollback() && !back.Auto:
		n.Title = "rolled back by hand"
	case !sync.IsRollback() && sync.Error == "": // what a rollback had put there was changed, and is put back
		n.Event, n.Title = notify.Success, "what was rolled back to is put back"
	default:
		n.Title, n.Failed = "rollout failed at "+string(sync.Stage)+" and was rolled back", true
	}
	n.Next += fmt.Sprintf("; the report: `agent show %d -o report` on the node", sync.ID)
}

func faultDetails(sync *record.Sync) []notify.Detail {
	var details []notify.Detail
	for _, one := range sync.All() {
		details = append(details, notify.Detail{Text: one.Error, Hint: one.Hint})
	}
	return details
}
