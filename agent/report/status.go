package report

import (
	"time"

	"coin.internal/coin-agent/agent/anchor"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/newest"
	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/tokens"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/policy"
	gitsync "coin.internal/coin-agent/sync"
)

// Status is what is known of a node, as `agent status -o json` prints it.
type Status struct {
	Environment string `json:"environment"`
	Node        string `json:"node"`
	Stack       string `json:"stack,omitempty"`

	Stacks []StackLine `json:"stacks,omitempty"` // of a node with several, in their order; the rest is about the worst, or the one asked for
	Left   *Left       `json:"left,omitempty"`   // the stack was taken off the list

	Mode    string    `json:"mode,omitempty"` // "observe" while the agent changes nothing on the engine
	Version string    `json:"version,omitempty"`
	Running bool      `json:"running"` // the daemon runs
	PID     int       `json:"pid,omitempty"`
	Started time.Time `json:"started,omitzero"`

	InSync  bool              `json:"in_sync"`
	Desired *gitsync.Revision `json:"desired,omitempty"` // what the remote selects
	Applied *AppliedStatus    `json:"applied,omitempty"` // what was applied and verified last
	Sync    *record.Sync      `json:"sync,omitempty"`    // the current or last sync, without its plan
	Pinned  *Pinned           `json:"pinned,omitempty"`  // where it stays after a rollback; nil where it follows the remote

	Health    *health.Verdict        `json:"health,omitempty"`  // of the services, at the last look at them; nil before the first one
	Observed  time.Time              `json:"observed,omitzero"` // when the services were looked at last
	Unknown   *Unknown               `json:"unknown,omitempty"` // nil while that look is recent enough for a verdict
	Services  []deploy.ServiceStatus `json:"services,omitempty"`
	Drift     []deploy.Step          `json:"drift,omitempty"`
	Contests  []drift.Contest        `json:"contested,omitempty"`     // fields that drift again whenever they are put back
	Forbidden []record.Fault         `json:"not_corrected,omitempty"` // why the drift is not corrected: what the policy refuses of the good state
	Ignored   []deploy.Ignored       `json:"ignored,omitempty"`       // fields that another process may change: drift_ignore
	Progress  string                 `json:"progress,omitempty"`
	Rollout   *Rollout               `json:"rollout,omitempty"`         // services that are waited for, or over which the last sync failed
	Overdue   []inventory.Rotation   `json:"overdue_secrets,omitempty"` // secrets that should have been rotated

	Tags      []string      `json:"tags,omitempty"`  // tags that are not followed, or were deleted or moved
	Group     string        `json:"group,omitempty"` // what a blue-green rollout still waits for from the other nodes; "" for nothing
	Pause     *record.Pause `json:"pause,omitempty"` // while it holds
	LastLook  time.Time     `json:"last_look,omitzero"`
	NextPoll  time.Time     `json:"next_poll,omitzero"`
	PollError string        `json:"poll_error,omitempty"`
	PollHint  string        `json:"poll_hint,omitempty"`
	PollCode  fault.Code    `json:"poll_code,omitempty"` // the class of the error

	Policy *policy.State `json:"policy,omitempty"` // of the node; nil if it is not known

	GitLab  *gitlab.Health  `json:"gitlab,omitempty"`
	Tokens  []tokens.State  `json:"tokens,omitempty"`  // of GitLab
	Anchors []anchor.Health `json:"anchors,omitempty"` // of the audit log, by place
	Notices *notify.Health  `json:"notices,omitempty"`
	Vault   *newest.State   `json:"vault,omitempty"` // of secrets in Vault; nil if there are none

	Next string `json:"next"` // what the operator is to do now
}

// Healthy reports whether every service runs what it declares. Before the first look that is
// assumed.
func (s *Status) Healthy() bool {
	return s.Unknown == nil && (s.Health == nil || s.Health.State == health.Healthy)
}

// AppliedStatus is the deployed revision.
type AppliedStatus struct {
	Commit  string    `json:"commit"`
	Release string    `json:"release,omitempty"`
	At      time.Time `json:"at"`

	Soaking time.Time `json:"soaking_until,omitzero"` // until when its services must stay healthy
	Unfit   string    `json:"unfit,omitempty"`        // why no rollback returns to it
}

// records are the stack's records as the state file has them.
type records interface {
	Deployed() (*record.GoodState, error)
	LastSync() (*record.Sync, error)
	Pause() (*record.Pause, error)
}

// StoredStatus gives what the state file has of an agent that does not run.
func StoredStatus(node Node, stack records, now time.Time) (Status, error) {
	applied, err := stack.Deployed()
	if err != nil {
		return Status{}, err
	}
	last, err := stack.LastSync()
	if err != nil {
		return Status{}, err
	}
	status := NewStatus(node, applied, last)
	if status.Pause, err = stack.Pause(); err != nil {
		return Status{}, err
	}
	if status.Pause != nil && status.Pause.Over(now) {
		status.Pause = nil
	}
	status.Next = NextFor(&status)
	return status, nil
}

// NewStatus makes the status of a node of what is deployed there and its last sync.
func NewStatus(node Node, applied *record.GoodState, last *record.Sync) Status {
	status := Status{Environment: node.Environment, Node: node.Name, Stack: StackOf(last, applied)}
	if applied != nil {
		status.Applied = &AppliedStatus{Commit: applied.Commit, Release: applied.Release, At: applied.At, Unfit: applied.Unfit}
		if applied.Soaks(time.Now()) {
			status.Applied.Soaking = applied.Soak.Until
		}
	}
	if last != nil {
		status.Pinned = PinnedAt(last)
		status.Sync, status.Rollout = last.Brief(), FailedRollout(last)
	}
	return status
}

// StackOf names the stack whose services run: that of the last sync if it has written, or
// if nothing was applied before; otherwise the stack that was applied last.
func StackOf(last *record.Sync, applied *record.GoodState) string {
	switch {
	case last != nil && last.Stack != "" && (applied == nil || last.Wrote):
		return last.Stack
	case applied != nil:
		return applied.StackName
	}
	return ""
}

// Pinned is the good state at which a rollback keeps a node, since when and by whom.
type Pinned struct {
	To      uint64      `json:"to"` // the good state's sync
	Commit  string      `json:"commit"`
	Release string      `json:"release,omitempty"`
	Since   time.Time   `json:"since"`
	By      audit.Actor `json:"by"`
	Reason  string      `json:"reason,omitempty"`
}

// PinnedAt gives the good state at which the last sync keeps the node; nil when the
// node follows the remote.
func PinnedAt(last *record.Sync) *Pinned {
	if !last.Pinned() {
		return nil
	}
	taken := last.Rollback
	return &Pinned{To: taken.To, Commit: taken.Commit, Release: taken.Release, Since: taken.Since, By: taken.By, Reason: taken.Reason}
}
