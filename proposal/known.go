package proposal

import (
	"context"
	"errors"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/internal/fault"
)

// Elsewhere gives the commit of a branch that GitLab has and the working copy does not: another
// working copy has pushed it. Otherwise it gives nil. It refuses a branch that Known refuses, and one
// that is merged.
func (p Publisher) Elsewhere(ctx context.Context, w *Worktree, branch string) (*Commit, error) {
	if w.Has(branch) {
		return nil, nil
	}
	tip, err := p.GitLab.Tip(ctx, branch)
	if err != nil || tip == "" {
		return nil, err
	}
	commit := &Commit{Hash: tip, Branch: branch, Taken: true}
	if err := errors.Join(p.Known(ctx, w, commit), p.notMerged(ctx, w, commit)); err != nil {
		return nil, err
	}
	return commit, nil
}

// Known refuses the commit of a branch in GitLab that another user pushed: in a merge request of the
// token's user, its author could approve it. The branch of the working copy is known, and one whose
// open merge request is by the token's user, because GitLab notes on it who pushes later.
func (p Publisher) Known(ctx context.Context, w *Worktree, commit *Commit) error {
	if ref, err := w.git.Repo.Reference(plumbing.NewBranchReferenceName(commit.Branch), true); err == nil && ref.Hash().String() == commit.Hash {
		return nil
	}
	self, err := p.GitLab.Self(ctx)
	if err != nil {
		return err
	}
	if p.Target == "" {
		if p.Target, err = p.GitLab.DefaultBranch(ctx); err != nil {
			return err
		}
	}
	open, err := p.GitLab.OpenRequest(ctx, commit.Branch, p.Target)
	if err != nil || open.Number != 0 && open.Author == strings.ToLower(self.Name) {
		return err
	}
	pusher, err := p.GitLab.Pusher(ctx, commit.Branch, commit.Hash)
	if err != nil || pusher.ID == self.ID {
		return err
	}
	return unknown(commit.Branch, self, pusher)
}

func unknown(branch string, self, pusher gitlab.Account) error {
	by := "it is not known who pushed it"
	if pusher.ID != 0 {
		by = pusher.Name + " pushed it"
	}
	return fault.New(fault.Place{}, "look at its commits; then delete it (git push origin --delete "+branch+") and run the command again, or merge it by a merge request of your own",
		"GitLab has the branch %s, which %s did not push: %s", branch, self.Name, by)
}
