package agent

import (
	"fmt"

	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/manifests"
)

// announce tells people the state of a sync. The outbox skips what it has told already.
func (a *Agent) announce(sync *record.Sync) error {
	if a.Notices.Outbox == nil {
		return nil
	}
	n, is := report.Notice(a.reportNode(), a.Settings.CommitLink(sync.Commit), sync)
	if !is {
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

// announceDelay tells people that a rollback waits for the engine, the network or a
// registry.
func (a *Agent) announceDelay(sync *record.Sync, why error) error {
	if a.Notices.Outbox == nil {
		return nil
	}
	return a.tell(report.DelayNotice(a.reportNode(), a.Settings.CommitLink(sync.Commit), sync, why))
}

// announceGroup tells people that this node runs a commit that failed on another node.
func (a *Agent) announceGroup(sync *record.Sync, text, hint string) error {
	if a.Notices.Outbox == nil {
		return nil
	}
	return a.tell(report.GroupNotice(a.reportNode(), a.Settings.CommitLink(sync.Commit), sync, text, hint))
}

// announceDrift tells people once that live services differ from the applied specs.
func (a *Agent) announceDrift(v view, drift []deploy.Step) error {
	if a.Notices.Outbox == nil {
		return nil
	}
	if len(drift) == 0 {
		return a.Notices.Outbox.DriftOver()
	}
	corrected := v.applied.Drift == string(manifests.DriftCorrect)
	return a.tell(report.DriftNotice(a.reportNode(), a.Settings.CommitLink(v.sync.Commit), v.sync, drift, corrected))
}
