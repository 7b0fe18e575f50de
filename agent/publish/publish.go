// Package publish takes the syncs of one stack and queues what GitLab and the receivers of
// notices get to know about them. What it has queued is in the state file when it returns,
// and stays there until it is delivered: publishing never delays a rollout.
package publish

import (
	"errors"
	"fmt"

	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
)

// statuses takes the commit statuses for GitLab, and knows the last one.
type statuses interface {
	Enqueue(report gitlab.Report) error
	Last(of gitlab.Report) (gitlab.State, error) // "" for none
}

// Publisher publishes the syncs of one stack.
type Publisher struct {
	Node        report.Node
	Stack       string                     // "" for the only one of the node
	Link        func(commit string) string // gives the commit's page in GitLab; "" for none
	Page        func(sync uint64) string   // gives what the status of a sync links to; nil or "" for nothing
	SyncPage    func(sync uint64) string   // gives the page of a sync with its report; nil or "" for none
	Statuses    statuses                   // nil: no statuses are sent to GitLab
	Deployments deployments                // nil: no deployments are sent to GitLab
	Sum         *Sum                       // of all stacks of the node; nil for a node with one
	ByTags      bool                       // the node follows tags
	Notices     Notices
	// Spares reports whether a commit that changes nothing which the node reads gets no status;
	// nil: it gets one.
	Spares func() bool
}

// Sync publishes a sync's state.
func (p *Publisher) Sync(sync *record.Sync) error {
	spared, err := p.spares(sync)
	switch {
	case err != nil:
		return err
	case !spared:
		return errors.Join(p.Notice(sync), p.Deploy(sync), p.status(sync, stateOf(sync))) // the status may link to the deployment
	case p.Sum == nil:
		return p.Notice(sync)
	}
	return errors.Join(p.Notice(sync), p.Sum.share(p.Stack, p.report(sync, gitlab.Success)))
}

// spares reports whether GitLab gets no status of a sync. It gets that of a commit that changes
// nothing here if the node has not succeeded, and if the commit has an earlier status of the node,
// which would stay: it was refused, or could not begin.
func (p *Publisher) spares(sync *record.Sync) (bool, error) {
	if !sync.Unchanged || p.Statuses == nil || p.Spares == nil || stateOf(sync) != gitlab.Success || !p.Spares() {
		return false, nil
	}
	last, err := p.Statuses.Last(p.report(sync, gitlab.Success))
	if err != nil {
		return false, fmt.Errorf("read the last report: %w", err)
	}
	return last == "", nil
}

// Pending publishes a sync that cannot begin yet and is tried again: the commit's status
// stays open until then.
func (p *Publisher) Pending(sync *record.Sync) error {
	return errors.Join(p.Notice(sync), p.status(sync, gitlab.Pending))
}

// Notice queues the notices of a sync's state and nothing for GitLab. The outbox skips a
// notice that it has sent already.
func (p *Publisher) Notice(sync *record.Sync) error {
	if n, has := report.Notice(p.Node, p.Link(sync.Commit), sync); has {
		if p.SyncPage != nil {
			n.Page = p.SyncPage(sync.ID)
		}
		return p.queue(n)
	}
	return nil
}

// Delay queues the notice of a rollback that waits for the engine, the network or a
// registry.
func (p *Publisher) Delay(sync *record.Sync, why error) error {
	return p.queue(report.DelayNotice(p.Node, p.Link(sync.Commit), sync, why))
}

// Group queues the notice that this node runs a commit that failed on another node.
func (p *Publisher) Group(sync *record.Sync, text, hint string) error {
	return p.queue(report.GroupNotice(p.Node, p.Link(sync.Commit), sync, text, hint))
}

// Tags queues the notice that tags are not followed, or were deleted or moved.
func (p *Publisher) Tags(last *record.Sync, told []string) error {
	return p.queue(report.TagsNotice(p.Node, p.Link(last.Commit), last, told))
}

// Health publishes that services of a good rollout or a rollback became degraded or unhealthy, or
// are healthy again: the status of a commit that runs follows the truth. After a rollback another one
// runs than the sync's, whose status stays.
func (p *Publisher) Health(sync *record.Sync, now health.Verdict) error {
	told := p.queue(report.HealthNotice(p.Node, p.Link(sync.Commit), sync, now))
	if sync.State == record.RolledBack {
		return told
	}
	return errors.Join(told, p.status(sync, stateOf(sync)))
}

// Contradicts reports whether GitLab was told another outcome of a sync than it has: the agent was
// killed between Health and the record of the sync.
func (p *Publisher) Contradicts(sync *record.Sync) (bool, error) {
	if p.Statuses == nil || sync.State != record.Succeeded {
		return false, nil
	}
	last, err := p.Statuses.Last(p.report(sync, stateOf(sync)))
	if err != nil {
		return false, fmt.Errorf("read the last report: %w", err)
	}
	return last != stateOf(sync) && (last == gitlab.Success || last == gitlab.Failed), nil
}

// Refused publishes that a release that did not stay healthy is not rolled back.
func (p *Publisher) Refused(sync *record.Sync) error {
	return errors.Join(p.queue(report.RefusedNotice(p.Node, p.Link(sync.Commit), sync)), p.status(sync, stateOf(sync)))
}

// stateOf gives the state that GitLab shows of a sync.
func stateOf(sync *record.Sync) gitlab.State {
	switch {
	case sync.Degraded != "":
		return gitlab.Failed
	case record.Observed(sync):
		return gitlab.Skipped // a pipeline with it can end, and it does not count as success
	}
	return states[sync.State]
}

// Drift queues one notice that live services differ from the applied specs of the last
// sync, or ends it. The contests are fields that differ again whenever they are put back.
func (p *Publisher) Drift(last *record.Sync, deployed *record.GoodState, steps []deploy.Step, contests []drift.Contest) error {
	switch {
	case p.Notices.Outbox == nil:
		return nil
	case len(steps) == 0:
		return p.Notices.Outbox.DriftOver(p.Stack)
	}
	n := report.DriftNotice(p.Node, p.Link(deployed.Commit), last, deployed, steps)
	if len(contests) > 0 {
		report.AddContests(&n, contests)
	}
	return p.queue(n)
}

func (p *Publisher) queue(n notify.Notice) error {
	if p.Notices.Outbox == nil {
		return nil
	}
	n.Key = p.Stack
	if err := p.Notices.Outbox.Tell(n); err != nil {
		return fmt.Errorf("queue notice: %w", err)
	}
	return nil
}

// status queues a commit status for GitLab, and that of the node with several stacks.
func (p *Publisher) status(sync *record.Sync, as gitlab.State) error {
	if p.Statuses == nil {
		return nil
	}
	told := p.report(sync, as)
	if as == gitlab.Canceled {
		last, err := p.Statuses.Last(told)
		if err != nil {
			return fmt.Errorf("read the last report: %w", err)
		}
		if last != "" && last.Finished() {
			return nil // the outcome of an earlier attempt stays true, as when a drift is not put back
		}
	}
	if err := p.Statuses.Enqueue(told); err != nil {
		return fmt.Errorf("queue report: %w", err)
	}
	if p.Sum == nil {
		return nil
	}
	return p.Sum.Tell(p.Stack, told)
}

// report gives the commit status of a sync.
func (p *Publisher) report(sync *record.Sync, as gitlab.State) gitlab.Report {
	name := "coin-agent/" + p.Node.String()
	if p.Stack != "" {
		name += "/" + p.Stack
	}
	return gitlab.Report{
		Commit: sync.Commit, Ref: sync.Ref, Name: name,
		State: as, Description: report.Description(sync, p.Node.String()), Target: p.page(sync.ID),
	}
}

func (p *Publisher) page(sync uint64) string {
	if p.Page == nil {
		return ""
	}
	return p.Page(sync)
}

// states are the states that GitLab shows (design, "One reconcile").
var states = map[record.State]gitlab.State{
	record.Pending:    gitlab.Pending,
	record.Waiting:    gitlab.Pending,
	record.Running:    gitlab.Running,
	record.Succeeded:  gitlab.Success,
	record.Failed:     gitlab.Failed,
	record.RolledBack: gitlab.Failed,
	record.Superseded: gitlab.Canceled,
}
