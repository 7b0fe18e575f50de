package gates

import (
	"context"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/manifests"
)

// Approvals gives the merge requests that brought a commit, and the users who approved
// them.
type Approvals interface {
	MergeRequests(ctx context.Context, commit string) ([]gitlab.Merged, error)
	Approvals(ctx context.Context, number int64) ([]string, error)
}

// Statuses gives the commit statuses of the other nodes.
type Statuses interface {
	Statuses(ctx context.Context, commit string) ([]gitlab.CommitStatus, error)
}

// Records is what the gates read of the stack's records.
type Records interface {
	Asked(commit, plan string, unresolved bool) (record.Asked, error)
	Newest() (*record.GoodState, error)
}

// Parts are what the gates work with.
type Parts struct {
	Environment string
	Node        string
	Records     Records
	Approvals   Approvals                                 // nil: no GitLab is configured
	Statuses    Statuses                                  // nil: no GitLab is configured
	Paused      func() *record.Pause                      // the current pause, or nil
	Release     func(ctx context.Context) (Ruling, error) // judges what the release needs
}

// All gives the gates in the order in which they are asked.
func All(p Parts) []Gate {
	return []Gate{
		{
			Name: record.GatePause, Ask: p.pause,
			Next:       always("`agent resume` ends the pause"),
			HoldsNewer: func(*manifests.Config) bool { return p.Paused() != nil },
		},
		{
			Name: record.GateFreeze, Ask: p.freeze,
			Next:       always(""),
			HoldsNewer: p.frozen,
		},
		{
			Name: record.GateAutoDeploy, Ask: autoDeploy,
			Next:       always("`agent diff` shows the plan, `agent sync` rolls it out"),
			HoldsNewer: func(config *manifests.Config) bool { return !config.Deployment.AutoDeploy },
		},
		{
			Name: record.GateRelease, Ask: p.release,
			Next:       always("`agent doctor` shows what is missing; it is asked again by itself"),
			HoldsNewer: func(*manifests.Config) bool { return false },
		},
		{
			Name: record.GateApproval, Ask: p.approval,
			Next:       nextApproval,
			HoldsNewer: (*manifests.Config).ApprovalRequired,
		},
		{
			Name: record.GateOrder, Ask: p.order,
			Next:       nextOrder,
			HoldsNewer: p.ordered,
		},
	}
}

// always gives the same next step for each sync.
func always(step string) func(*record.Sync, record.Gate) string {
	return func(*record.Sync, record.Gate) string { return step }
}
