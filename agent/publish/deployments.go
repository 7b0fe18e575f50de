package publish

import (
	"fmt"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
)

// deployments takes the deployments for GitLab.
type deployments interface {
	Deploy(step gitlab.Deployment) error
}

// Deploy queues how far the rollout and the rollback of a sync are, as deployments for GitLab.
// A sync that has written nothing has none, nor has the correction of a drift, which brings
// no other commit, nor a rollback of some services. The outbox skips what it knows.
func (p *Publisher) Deploy(sync *record.Sync) error {
	if p.Deployments == nil || sync.Trigger == record.OnDrift {
		return nil
	}
	taken, url := sync.Rollback, ""
	if sync.Deployment != nil {
		url = sync.Deployment.URL
	}
	switch own := taken == nil || taken.FollowsFailure(); {
	case own && sync.Wrote && !sync.Entered[record.StageApply].IsZero():
		if err := p.deploy(sync, sync.Commit, rolledOut(sync), url); err != nil {
			return err
		}
		url = "" // the good state may have had another one
	case !own && (taken.Wrote || taken.Over()): // a user rolls back: a rollout that still ran has ended
		if err := p.deploy(sync, sync.Commit, gitlab.Canceled, ""); err != nil {
			return err
		}
	}
	if taken == nil || !taken.Wrote || len(taken.Services) > 0 {
		return nil
	}
	return p.deploy(sync, taken.Commit, rolledBack(taken), url)
}

// rolledOut gives the state of the deployment of a sync's own commit; "" for none.
func rolledOut(sync *record.Sync) gitlab.State {
	switch state := states[sync.State]; {
	case sync.Rollback != nil:
		return gitlab.Failed
	case state == gitlab.Pending:
		return ""
	default:
		return state
	}
}

// rolledBack gives the state of the deployment of the commit that a rollback returns to.
func rolledBack(taken *record.Rollback) gitlab.State {
	switch {
	case !taken.Over():
		return gitlab.Running
	case taken.Error != "" || taken.Refused != "":
		return gitlab.Failed
	}
	return gitlab.Success
}

func (p *Publisher) deploy(sync *record.Sync, commit string, state gitlab.State, url string) error {
	if state == "" {
		return nil
	}
	environment := p.Node.String()
	if p.Stack != "" {
		environment += "/" + p.Stack
	}
	step := gitlab.Deployment{Environment: environment, Commit: commit, Ref: sync.Ref, Tag: p.ByTags, State: state, URL: url}
	if err := p.Deployments.Deploy(step); err != nil {
		return fmt.Errorf("queue deployment: %w", err)
	}
	return nil
}
