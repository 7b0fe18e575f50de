package release

import (
	"context"
	"slices"
	"strings"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/proposal"
)

// Propose commits what a promotion changes, on a branch of its own. A reason says why a release
// moves that is not proven.
func (p *PromotionPlan) Propose(w *proposal.Worktree, author, reason string) (*proposal.Commit, error) {
	if head := w.Head().Hash; head != p.Commit {
		return nil, fault.New(fault.Place{}, "run the command again", "another commit was checked out meanwhile")
	}
	return w.Commit(proposal.Draft{Files: p.Files, Branch: p.Branch(), Message: p.Message(reason), Author: author})
}

// TakeUp finds the promotion that an earlier run committed; nil if there is none.
func (p Promotion) TakeUp(w *proposal.Worktree) (*proposal.Commit, error) {
	return w.TakeUp(proposal.Wanted{
		What: "a promotion from " + p.From + " to " + p.To,
		Matches: func(message, branch string) bool {
			trailers := proposal.Trailers(message)
			return strings.HasPrefix(trailers[trailerPromoted], p.From+" "+p.To+" ") && trailers[trailerBranch] == branch
		},
	})
}

// requests lists open merge requests.
type requests interface {
	Open(ctx context.Context, target string) ([]gitlab.Request, error)
}

// Branches begins the names of the branches of promotions between the two environments.
func (p Promotion) Branches() string { return promotionBranches(p.From, p.To) }

// Earlier gives the open merge request whose branch begins with a prefix; one without
// a number if there is none.
func Earlier(ctx context.Context, from requests, target, prefix string) (gitlab.Request, error) {
	open, err := from.Open(ctx, target)
	if err != nil {
		return gitlab.Request{}, err
	}
	at := slices.IndexFunc(open, func(one gitlab.Request) bool { return !one.Fork && strings.HasPrefix(one.Source, prefix) })
	if at < 0 {
		return gitlab.Request{}, nil
	}
	return open[at], nil
}
