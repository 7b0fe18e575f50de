package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/worktree"
	"coin.internal/coin-agent/proposal"
)

// proposalFlags are the flags of commands that make a commit and a merge request.
type proposalFlags struct {
	repo, author, target   string
	dryRun, noMergeRequest bool
	output                 *string
}

// add adds the flags; --dry-run only with a text about it.
func (f *proposalFlags) add(cmd *cobra.Command, dryRun string) {
	flags := cmd.Flags()
	flags.StringVar(&f.repo, "repo", ".", "working copy of the repository")
	flags.StringVar(&f.author, "author", "", `author of the commit, as "Name <address>" (default: that of git's configuration files)`)
	flags.BoolVar(&f.noMergeRequest, "no-merge-request", false, "make the commit only; do not push")
	flags.StringVar(&f.target, "target-branch", "", "branch to merge into (default: the followed branch, else the project's default branch)")
	if dryRun != "" {
		flags.BoolVar(&f.dryRun, "dry-run", false, dryRun)
	}
	f.output = outputFlag(cmd, "text", "json")
}

// dryRunText is about --dry-run of most of these commands.
const dryRunText = "show what would change, and change nothing; exit code 3 if there are changes"

// clone is the working copy that a command works on: locked, to commit, and to read its history.
type clone struct {
	tree *proposal.Worktree
	git  *worktree.Worktree
}

// openClone opens the working copy that a folder is in.
func openClone(ctx context.Context, folder string) (clone, error) {
	root, _, err := findRepository(folder)
	if err != nil {
		return clone{}, err
	}
	git, err := worktree.Open(root)
	if err != nil {
		return clone{}, err
	}
	tree, err := proposal.OpenWorktree(ctx, root)
	return clone{tree, git}, err
}

// proposed is what became of a change.
type proposed struct {
	Commit       *proposal.Commit `json:"commit,omitempty"`
	MergeRequest string           `json:"merge_request,omitempty"`
	Next         []string         `json:"next"`
}

// proposes reports whether a merge request is opened: a project of GitLab is configured, and the
// user wants one.
func (f *proposalFlags) proposes(a *app) bool {
	return !f.noMergeRequest && !f.dryRun && a.settings.GitLabURL != ""
}

// into gives the branch that merge requests go to.
func (f *proposalFlags) into(ctx context.Context, a *app, client *gitlab.Client) (string, error) {
	if target := f.followed(a); target != "" {
		return target, nil
	}
	return client.DefaultBranch(ctx)
}

// followed gives the branch of the flags, else the one that the settings follow; "" for none.
func (f *proposalFlags) followed(a *app) string {
	if a.settings.TagPattern == "" {
		return cmp.Or(f.target, a.settings.Branch)
	}
	return f.target
}

// publisher gives what pushes a branch of a working copy and opens its merge request.
func (f *proposalFlags) publisher(a *app, tree *proposal.Worktree) (proposal.Publisher, error) {
	client, err := a.gitLab()
	publisher := proposal.Publisher{GitLab: client, Remote: a.settings.Remote(), Target: f.followed(a)}
	if publisher.Remote.TokenFile == "" && sameHost(publisher.Address(tree), a.settings.GitLabURL) {
		publisher.Remote.TokenFile = a.settings.GitLabTokenFile
	}
	return publisher, err
}

func sameHost(a, b string) bool {
	first, errA := url.Parse(a)
	second, errB := url.Parse(b)
	return errA == nil && errB == nil && first.Host != "" && first.Host == second.Host
}

// publish pushes the branch of a commit and opens its merge request. The commit stays in any
// case.
func (f *proposalFlags) publish(ctx context.Context, a *app, tree *proposal.Worktree, shown *proposed) error {
	byHand := []string{"git push -u origin " + shown.Commit.Branch, "open a merge request; nothing changes in Swarm until it is merged and synced"}
	switch {
	case shown.Commit.Unsigned:
		shown.Next = append([]string{"git commit --amend --no-edit -S   (git is set to sign commits; this one is not signed)"}, byHand...)
		return nil
	case !f.proposes(a):
		shown.Next = byHand
		if a.settings.GitLabURL == "" {
			shown.Next = append(byHand, "if gitlab_url, gitlab_project and gitlab_token_file are set, this command does both")
		}
		return nil
	}
	publisher, err := f.publisher(a, tree)
	if err == nil {
		var opened gitlab.OpenMergeRequest
		if opened, err = publisher.Publish(ctx, tree, shown.Commit); err == nil {
			shown.MergeRequest = opened.URL
			shown.Next = []string{"have it reviewed and merged; `agent wait` or `agent fleet` shows when the nodes have it"}
			return nil
		}
	}
	shown.Next = append([]string{"run the same command again, which finishes this commit; or by hand:"}, byHand...)
	return fault.WithHint(fmt.Errorf("the commit was made, but the merge request was not opened: %w", err), fault.Hint(err))
}

// proposedScreen shows what became of a change.
func proposedScreen(s *page, of proposed) {
	if of.Commit != nil {
		made := "commit "
		if of.Commit.Taken {
			made = "finished the commit of an earlier run: "
		}
		s.line(made, short(of.Commit.Hash), " on branch ", of.Commit.Branch)
	}
	if of.MergeRequest != "" {
		s.line("merge request ", of.MergeRequest)
	}
	if len(of.Next) > 0 {
		s.line("next:")
	}
	for _, one := range of.Next {
		s.line("  ", one)
	}
}
