package agent

import (
	"os"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	gitsync "coin.internal/coin-agent/sync"
)

// view is what the agent knows at a moment; parts of it are replaced, never
// changed in place.
type view struct {
	started  time.Time
	desired  *gitsync.Revision
	sync     *record.Sync
	applied  *record.GoodState
	services []deploy.ServiceStatus
	drift    []deploy.Step

	asked time.Time      // when the registries were asked whether tags moved
	moved *compose.Stack // what was applied, with the digests of then; nil before

	surveyed  time.Time // when all versions of secrets and configs were looked at
	rotations []Rotation

	lastLook, nextPoll time.Time
	pollError          error
	progress           string
	pause              *record.Pause // the last one, which may be over
	rollout            *Rollout      // while services are waited for
	group              string        // what the group still lacks; see askGroup
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

// Status is the truth about the node in one object, as `agent status -o json`
// prints it.
type Status struct {
	Environment string `json:"environment"`
	Node        string `json:"node"`
	Stack       string `json:"stack,omitempty"`

	Version string    `json:"version,omitempty"`
	Running bool      `json:"running"` // the daemon runs
	PID     int       `json:"pid,omitempty"`
	Started time.Time `json:"started,omitzero"`

	InSync  bool              `json:"in_sync"`
	Desired *gitsync.Revision `json:"desired,omitempty"` // what the remote selects
	Applied *AppliedStatus    `json:"applied,omitempty"` // what was applied and proven last
	Sync    *record.Sync      `json:"sync,omitempty"`    // the current or last sync, without its plan
	Pinned  *Pinned           `json:"pinned,omitempty"`  // where it stays after a rollback; nil where it follows the remote

	Services []deploy.ServiceStatus `json:"services,omitempty"`
	Drift    []deploy.Step          `json:"drift,omitempty"`
	Progress string                 `json:"progress,omitempty"`
	Rollout  *Rollout               `json:"rollout,omitempty"`         // services that are waited for, or over which the last sync failed
	Overdue  []Rotation             `json:"overdue_secrets,omitempty"` // secrets that should have been rotated

	Group     string        `json:"group,omitempty"` // what a blue-green rollout lacks of the other nodes; "" for nothing
	Pause     *record.Pause `json:"pause,omitempty"` // while it holds
	LastLook  time.Time     `json:"last_look,omitzero"`
	NextPoll  time.Time     `json:"next_poll,omitzero"`
	PollError string        `json:"poll_error,omitempty"`
	PollHint  string        `json:"poll_hint,omitempty"`

	GitLab  *gitlab.Health `json:"gitlab,omitempty"`
	Notices *notify.Health `json:"notices,omitempty"`

	Next string `json:"next"` // what a person is to do now
}

// Lacking names the services of which fewer tasks run than should.
func (s *Status) Lacking() []string {
	var names []string
	for _, service := range s.Services {
		if service.MissesTasks() {
			names = append(names, service.Name)
		}
	}
	return names
}

// AppliedStatus is the revision that runs.
type AppliedStatus struct {
	Commit  string    `json:"commit"`
	Release string    `json:"release,omitempty"`
	At      time.Time `json:"at"`
}

// Status tells what the running agent knows.
func (a *Agent) Status() Status {
	v := a.snapshot()
	status := newStatus(&a.Settings, v.applied, v.sync)
	status.Version, status.Running, status.PID, status.Started = a.Version, true, os.Getpid(), v.started
	status.Desired, status.Services, status.Drift = v.desired, v.services, v.drift
	status.LastLook, status.NextPoll, status.Progress = v.lastLook, v.nextPoll, v.progress
	status.Pause = a.paused()
	status.Overdue = overdue(v.rotations, time.Now())
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
	status.Next = NextFor(&status)
	return status
}

// StoredStatus tells what the state file knows of an agent that does not run.
func StoredStatus(settings *Settings, store *store.Store) (Status, error) {
	stack := store.Stack(record.OnlyStack)
	applied, err := stack.Deployed()
	if err != nil {
		return Status{}, err
	}
	last, err := stack.LastSync()
	if err != nil {
		return Status{}, err
	}
	status := newStatus(settings, applied, last)
	if status.Pause, err = stack.Pause(); err != nil {
		return Status{}, err
	}
	if status.Pause != nil && status.Pause.Over(time.Now()) {
		status.Pause = nil
	}
	status.Next = NextFor(&status)
	return status, nil
}

func newStatus(settings *Settings, applied *record.GoodState, last *record.Sync) Status {
	status := Status{Environment: settings.Environment, Node: settings.Node}
	status.Stack = stackOf(last, applied)
	if applied != nil {
		status.Applied = &AppliedStatus{Commit: applied.Commit, Release: applied.Release, At: applied.At}
	}
	if last != nil {
		brief := *last
		brief.Plan, brief.Services, brief.Inputs, brief.Deployment = nil, nil, nil, nil
		if brief.Rollback != nil {
			taken := *brief.Rollback
			taken.Plan, taken.ServicesOf = nil, nil
			brief.Rollback = &taken
		}
		status.Pinned = pinnedAt(last)
		status.Sync, status.Rollout = &brief, FailedRollout(last)
	}
	return status
}

func stepNames(steps []deploy.Step) []string {
	names := make([]string, 0, len(steps))
	for _, step := range steps {
		names = append(names, step.Name)
	}
	return names
}
