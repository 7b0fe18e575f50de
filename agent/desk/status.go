package desk

import (
	"os"
	"time"

	"coin.internal/coin-agent/agent/anchor"
	"coin.internal/coin-agent/agent/explain"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/newest"
	"coin.internal/coin-agent/agent/publish"
	"coin.internal/coin-agent/agent/pulse"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/tokens"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/policy"
)

// reports say whether GitLab accepts the commit statuses.
type reports interface{ Health() gitlab.Health }

// anchors say whether the audit log is anchored outside of the node.
type anchors interface{ Health() []anchor.Health }

// Daemon is what all stacks of an agent have in common.
type Daemon struct {
	Node    report.Node
	Owner   string // <environment>/<node>
	Version string
	Started time.Time
	Mode    string // "observe", or "" for an agent that changes the engine
	Groups  bool   // other nodes' statuses are asked for
	Pulse   *pulse.Pulse
	Policy  *policy.Current
	Notices publish.Notices
	Reports reports               // nil: no statuses are sent to GitLab
	Anchors anchors               // nil: there are none
	Tokens  func() []tokens.State // of GitLab; nil: there are none
	Newest  func() newest.Known   // versions of secrets in Vault; nil: it is not asked
}

// Status gives what the running agent knows of the stack.
func (d *Desk) Status() report.Status {
	daemon, v := d.parts.Daemon, d.parts.Board.Snapshot()
	status := report.NewStatus(daemon.Node, v.Deployed, v.Last)
	if d.parts.Board.Name != "" {
		status.Stack = d.parts.Board.Name
	}
	status.Mode, status.Left = daemon.Mode, d.parts.Left()
	status.Version, status.Running, status.PID, status.Started = daemon.Version, true, os.Getpid(), daemon.Started
	status.Desired, status.Services, status.Drift, status.Contests, status.Ignored, status.Progress = v.Desired, v.Services, v.Drift, v.Contests, v.Ignored, v.Progress
	for _, one := range fault.All(v.Forbidden) {
		status.Forbidden = append(status.Forbidden, record.Fault{Error: one.Error(), Hint: fault.Hint(one), Code: fault.CodePolicy})
	}
	status.Health = v.Judged()
	status.Observed, status.Unknown = v.Observed, d.parts.Sight.Unknown(v, time.Now())
	status.LastLook, status.NextPoll = daemon.Pulse.Looks()
	status.Pause, status.Tags = v.Paused(), v.Tags
	status.Overdue = inventory.Overdue(v.Rotations, time.Now())
	if v.Rollout != nil {
		status.Rollout = v.Rollout
	}
	if v.Last.InOpenGroup() && daemon.Groups {
		status.Group = v.Group
	}
	if v.LookError != nil {
		status.PollError, status.PollHint, status.PollCode = v.LookError.Error(), fault.Hint(v.LookError), explain.Code(v.LookError, "")
	}
	if daemon.Reports != nil {
		health := daemon.Reports.Health()
		status.GitLab = &health
	}
	if daemon.Anchors != nil {
		status.Anchors = daemon.Anchors.Health()
	}
	if daemon.Tokens != nil {
		status.Tokens = daemon.Tokens()
	}
	if daemon.Newest != nil {
		status.Vault = daemon.Newest().Of(v.Deployed, v.Last)
	}
	status.Notices = daemon.Notices.Health()
	policy := daemon.Policy.State()
	status.Policy = &policy
	status.InSync = d.parts.Sight.InSync(v)
	if v.Last != nil {
		status.PollHint = v.Last.Key.In(status.PollHint)
	}
	status.Next = report.NextFor(&status)
	return status
}

// InVault lists the paths in Vault of the deployed secrets of the stack.
func InVault(d *Desk) (paths []string) {
	for _, one := range newest.In(d.parts.Board.Snapshot().Deployed) {
		paths = append(paths, one.Vault.Path)
	}
	return paths
}
