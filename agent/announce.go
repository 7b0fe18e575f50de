package agent

import (
	"fmt"

	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/manifests"
)

// announce queues the notices of a sync's state. The outbox skips a notice that it has
// sent already.
func (a *Agent) announce(sync *record.Sync) error {
	if a.Notices.Outbox == nil {
		return nil
	}
	n, is := report.Notice(a.reportNode(), a.Settings.CommitLink(sync.Commit), sync)
	if !is {
		return nil
	}
	return a.queueNotice(n)
}

func (a *Agent) queueNotice(n notify.Notice) error {
	if err := a.Notices.Outbox.Tell(n); err != nil {
		return fmt.Errorf("queue notice: %w", err)
	}
	return nil
}

// announceDelay queues the notice of a rollback that waits for the engine, the network or
// a registry.
func (a *Agent) announceDelay(sync *record.Sync, why error) error {
	if a.Notices.Outbox == nil {
		return nil
	}
	return a.queueNotice(report.DelayNotice(a.reportNode(), a.Settings.CommitLink(sync.Commit), sync, why))
}

// announceGroup queues the notice that this node runs a commit that failed on another
// node.
func (a *Agent) announceGroup(sync *record.Sync, text, hint string) error {
	if a.Notices.Outbox == nil {
		return nil
	}
	return a.queueNotice(report.GroupNotice(a.reportNode(), a.Settings.CommitLink(sync.Commit), sync, text, hint))
}

// announceDrift queues one notice that live services differ from the applied specs.
func (a *Agent) announceDrift(v view, drift []deploy.Step) error {
	if a.Notices.Outbox == nil {
		return nil
	}
	if len(drift) == 0 {
		return a.Notices.Outbox.DriftOver()
	}
	corrected := v.deployed.Drift == string(manifests.DriftCorrect)
	return a.queueNotice(report.DriftNotice(a.reportNode(), a.Settings.CommitLink(v.sync.Commit), v.sync, drift, corrected))
}
