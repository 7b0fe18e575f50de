package gates

import (
	"context"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
)

// Approvals gives the merge requests with a commit, and the users who approved them.
type Approvals interface {
	MergeRequests(ctx context.Context, commit string) ([]gitlab.Request, error)
	Approvals(ctx context.Context, of gitlab.Request) ([]gitlab.Approval, error)
	// Protected reports whether a branch is the default branch, or a protected one.
	Protected(ctx context.Context, branch string) (bool, error)
}

// Statuses gives the commit statuses of the other nodes, and the usernames of their
// agents.
type Statuses interface {
	Statuses(ctx context.Context, commit string) ([]gitlab.CommitStatus, error)
	Agents(ctx context.Context) ([]string, error)
}

// Records is what the gates read of the stack's records.
type Records interface {
	Asked(commit, plan string, unresolved bool) (record.Asked, error)
	Newest() (*record.GoodState, error)
	Consent() (*record.Consent, error)
	Adoption() (*record.Adoption, error)
}

// Parts are what the gates work with.
type Parts struct {
	Environment string
	Node        string
	Observe     bool // the agent changes nothing
	Records     Records
	Approvals   Approvals                                 // nil: no GitLab is configured
	Merged      *Merged                                   // what was asked about earlier commits; nil: it is asked again
	Statuses    Statuses                                  // nil: no GitLab is configured
	Paused      func() *record.Pause                      // the current pause, or nil
	Stack       string                                    // of a node with several; "" for the only one
	Earlier     func(also ...string) []Earlier            // the stacks of the node that this one waits for, and others; nil: none
	Release     func(ctx context.Context) (Ruling, error) // judges what the release needs
}

// All gives the gates in the order in which they are asked.
func All(p Parts) []Gate {
	return []Gate{
		observe{p},
		pause{p},
		freeze{p},
		autoDeploy{},
		release{p},
		approval{p},
		adoption{p},
		stack{p},
		order{p},
	}
}
