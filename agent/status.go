package agent

import (
	"os"
	"time"

	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	gitsync "coin.internal/coin-agent/sync"
)

// view is what the agent knows at one time; its parts are replaced, never changed in
// place.
type view struct {
	started  time.Time
	desired  *gitsync.Revision
	sync     *record.Sync
	deployed *record.GoodState
	services []deploy.ServiceStatus
	drift    []deploy.Step

	asked time.Time      // when the registries were asked whether tags moved
	moved *compose.Stack // what was applied, with the digests at that time; nil before

	surveyed  time.Time // when all versions of secrets and configs were looked at
	rotations []inventory.Rotation

	lastLook, nextPoll time.Time
	pollError          error
	step               step // the loop's current step; the zero step while it waits
	progress           string
	pause              *record.Pause   // the last one, which may be over
	rollout            *report.Rollout // while the agent waits for services
	group              string          // why the group is not complete; see askGroup
}

func (a *Agent) update(change func(*view)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(&a.view)
}

func (a *Agent) snapshot() view {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.view
}

// Status gives what the running agent knows.
func (a *Agent) Status() report.Status {
	v := a.snapshot()
	status := report.NewStatus(a.reportNode(), v.deployed, v.sync)
	status.Version, status.Running, status.PID, status.Started = a.Version, true, os.Getpid(), v.started
	status.Desired, status.Services, status.Drift = v.desired, v.services, v.drift
	status.LastLook, status.NextPoll, status.Progress = v.lastLook, v.nextPoll, v.progress
	status.Pause = a.paused()
	status.Overdue = inventory.Overdue(v.rotations, time.Now())
	if v.rollout != nil {
		status.Rollout = v.rollout
	}
	if v.sync.InOpenGroup() && a.Statuses != nil {
		status.Group = v.group
	}
	if v.pollError != nil {
		status.PollError, status.PollHint = v.pollError.Error(), fault.Hint(v.pollError)
	}
	if a.Reports != nil {
		health := a.Reports.Health()
		status.GitLab = &health
	}
	status.Notices = a.Notices.health()
	status.InSync = v.pollError == nil && len(v.drift) == 0 && v.desired != nil && v.sync != nil &&
		v.sync.State == record.Succeeded && v.sync.Commit == v.desired.Commit
	status.Next = report.NextFor(&status)
	return status
}

func stepNames(steps []deploy.Step) []string {
	names := make([]string, 0, len(steps))
	for _, step := range steps {
		names = append(names, step.Name)
	}
	return names
}

// reportNode names the node in what is written about it.
func (a *Agent) reportNode() report.Node {
	return report.Node{Environment: a.Settings.Environment, Name: a.Settings.Node}
}
