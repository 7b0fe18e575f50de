package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/proposal"
	"coin.internal/coin-agent/release"
)

// change is what a command proposes for an environment, by one commit and one merge request.
type change struct {
	branches, what string // the begin of the branches of such changes, and what one is called

	taken  func(clone) (*proposal.Commit, error)      // that an earlier run has made and not finished; nil for none
	plan   func(clone) (nothing string, err error)    // says if there is nothing to change
	commit func(clone) (*proposal.Commit, error)      // of what is planned
	show   func(proposed) (different bool, err error) // what was planned, and what became of it
}

// propose makes the commit of a change and its merge request, or finishes those of an earlier run.
func (f *proposalFlags) propose(ctx context.Context, a *app, of change) error {
	in, err := openClone(ctx, f.repo)
	if err != nil {
		return err
	}
	defer in.tree.Close()
	result, err := f.commit(ctx, a, in, of)
	if err != nil {
		return err
	}
	if result.Commit != nil {
		in.tree.Close() // pushing needs no lock
		err = f.publish(ctx, a, in.tree, result)
	}
	different, unshown := of.show(*result)
	return differentIf(different, errors.Join(unshown, err))
}

// commit makes the commit, unless there is nothing to do.
func (f *proposalFlags) commit(ctx context.Context, a *app, in clone, of change) (result *proposed, err error) {
	result = &proposed{}
	if !f.dryRun {
		if result.Commit, err = of.taken(in); err != nil || result.Commit != nil {
			return result, err
		}
	}
	if earlier, err := f.earlier(ctx, a, in.tree, of); err != nil || earlier != nil {
		return earlier, err
	}
	nothing, err := of.plan(in)
	switch {
	case err != nil:
	case nothing != "":
		result.Next = []string{nothing}
	case f.dryRun:
		result.Next = []string{"nothing was changed: --dry-run"}
	default:
		result.Commit, err = of.commit(in)
	}
	return result, err
}

// earlier stops at an open merge request of an earlier change. It refuses one of another user, and a
// working copy that is not at the end of the target branch: the merge request would have other
// commits, or lack some.
func (f *proposalFlags) earlier(ctx context.Context, a *app, tree *proposal.Worktree, of change) (*proposed, error) {
	if !f.proposes(a) {
		return nil, nil
	}
	client, err := a.gitLab()
	if err != nil {
		return nil, err
	}
	target, err := f.into(ctx, a, client)
	if err != nil {
		return nil, err
	}
	open, err := release.Earlier(ctx, gitlab.NewRequests(client), target, of.branches)
	if err != nil {
		return nil, err
	}
	if open.Number != 0 {
		return earlierOf(ctx, client, open, of.what)
	}
	tip, err := client.Tip(ctx, target)
	if err != nil || tip == tree.Head().Hash {
		return nil, err
	}
	return nil, fault.New(fault.Place{}, "git switch "+target+" && git pull --ff-only; or make the commit only, with --no-merge-request",
		"the working copy is at commit %s, and %s in GitLab at %s", short(tree.Head().Hash), target, short(tip))
}

// earlierOf gives the merge request of an earlier run of the token's user. Another user may have given
// the branch any content.
func earlierOf(ctx context.Context, client *gitlab.Client, open gitlab.Request, what string) (*proposed, error) {
	self, err := client.Self(ctx)
	if err != nil {
		return nil, err
	}
	if open.Author != strings.ToLower(self.Name) {
		return nil, fault.New(fault.Place{}, "merge or close it first, and run the command again",
			"!%d of branch %s looks like an earlier %s, but is by %s", open.Number, open.Source, what, open.Author)
	}
	return &proposed{MergeRequest: open.URL, Next: []string{
		fmt.Sprintf("merge or close !%d of branch %s: it is an earlier %s", open.Number, open.Source, what),
	}}, nil
}
