package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/proposal"
	"coin.internal/coin-agent/rotate"
)

// rotatedBatch is the output of `agent secrets rotate --overdue`.
type rotatedBatch struct {
	Environment  string           `json:"environment"`
	Secrets      []string         `json:"secrets"`           // that this run rotated
	Skipped      []string         `json:"skipped,omitempty"` // overdue secrets with the reason
	Commit       *proposal.Commit `json:"commit,omitempty"`
	MergeRequest string           `json:"merge_request,omitempty"`
	Next         []string         `json:"next"`
}

// rotateOverdue rotates the overdue secrets of the environment. In a pipeline, GitLab's address
// and project are those of the pipeline.
func rotateOverdue(ctx context.Context, a *app, names []string, f rotateFlags) error {
	root, keys, err := openWorkingCopy(a, f.repo)
	if err != nil {
		return err
	}
	s := pipelineSettings(a)
	publishes := s.GitLabURL != "" && !f.noMergeRequest
	wanted := rotate.Overdue{
		Environment: s.Environment, Names: names, Author: f.author, Now: time.Now(),
		Generate: rotate.Generate{Length: f.generate, Charset: f.charset},
	}
	if publishes {
		if open, err := openBatch(ctx, a, root, wanted, f); err != nil || open.MergeRequest != "" {
			return errors.Join(err, showBatch(a, f, open))
		}
	}
	batch, err := wanted.Run(ctx, root, keys)
	if err != nil {
		return err
	}
	shown := rotatedBatch{Environment: s.Environment, Secrets: batch.Secrets, Skipped: batch.Skipped, Commit: batch.Commit}
	switch {
	case batch.Commit == nil:
		shown.Next = []string{"nothing: no secret was rotated"}
	case batch.Commit.Unsigned || !publishes:
		shown.Next = []string{"git push -u origin " + batch.Commit.Branch, "open a merge request; nothing changes in Swarm until it is merged and synced"}
	default:
		shown.MergeRequest, err = publishBatch(ctx, a, root, batch.Commit, f)
		shown.Next = []string{"have it reviewed and merged; other users of a secret need the new value, too"}
	}
	return differentIf(len(shown.Skipped) > 0, errors.Join(showBatch(a, f, shown), err))
}

// openBatch gives the merge request of the branch that an earlier run has pushed; none if
// GitLab has no such branch. One that was closed is opened again.
func openBatch(ctx context.Context, a *app, root string, wanted rotate.Overdue, f rotateFlags) (shown rotatedBatch, err error) {
	shown = rotatedBatch{Environment: wanted.Environment, Secrets: []string{}}
	client, err := a.gitLab()
	if err != nil {
		return shown, err
	}
	tip, err := client.Tip(ctx, wanted.Branch())
	if err != nil || tip == "" {
		return shown, err
	}
	pushed := wanted.Pushed(tip)
	shown.Commit, shown.Next = pushed, []string{"have it reviewed and merged, or delete its branch: until then no other secret is rotated"}
	shown.MergeRequest, err = publishBatch(ctx, a, root, pushed, f)
	return shown, err
}

func publishBatch(ctx context.Context, a *app, root string, commit *proposal.Commit, f rotateFlags) (string, error) {
	tree, err := proposal.OpenWorktree(root)
	if err != nil {
		return "", err
	}
	tree.Close() // pushing needs no lock
	publisher, err := a.publisher(tree, f.target)
	if err != nil {
		return "", err
	}
	opened, err := publisher.Publish(ctx, tree, commit)
	if err != nil {
		return "", fault.WithHint(fmt.Errorf("open the merge request of %s: %w", commit.Branch, err), fault.Hint(err))
	}
	return opened.URL, nil
}

func showBatch(a *app, f rotateFlags, shown rotatedBatch) error {
	return printScreen(a.stdout, *f.output, batchScreen, shown)
}

// batchScreen shows which secrets were rotated.
func batchScreen(s *page, of rotatedBatch) {
	s.put(counted(len(of.Secrets), "overdue secret", "overdue secrets"), " rotated")
	for _, name := range of.Secrets {
		s.line("  ", s.green(name))
	}
	for _, text := range of.Skipped {
		s.line(s.yellow("skipped"), " ", tidy(text))
	}
	if of.Commit != nil {
		s.line("commit ", short(of.Commit.Hash), " on branch ", of.Commit.Branch)
	}
	s.request(of.MergeRequest, of.Next)
}
