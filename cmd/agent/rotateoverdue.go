package main

import (
	"context"
	"errors"
	"time"

	"coin.internal/coin-agent/internal/plural"
	"coin.internal/coin-agent/proposal"
	"coin.internal/coin-agent/rotate"
)

// rotatedBatch is the output of `agent secrets rotate --overdue`.
type rotatedBatch struct {
	Environment string   `json:"environment"`
	Secrets     []string `json:"secrets"`           // that this run rotated
	Skipped     []string `json:"skipped,omitempty"` // overdue secrets with the reason
	Result      proposed `json:"-"`
}

// MarshalJSON writes the keys of the result last.
func (r rotatedBatch) MarshalJSON() ([]byte, error) {
	type others rotatedBatch
	return joinedJSON(others(r), r.Result)
}

// rotateOverdue rotates the overdue secrets of the environment. In a pipeline, GitLab's address
// and project are those of the pipeline.
func rotateOverdue(ctx context.Context, a *app, names []string, f rotateFlags) error {
	root, keys, err := openWorkingCopy(a, f.common.repo)
	if err != nil {
		return err
	}
	s := pipelineSettings(a)
	wanted := rotate.Overdue{
		Environment: s.Environment, Names: names, Author: f.common.author, Now: time.Now(),
		Generate: rotate.Generate{Length: f.generate, Charset: f.charset},
	}
	if f.common.proposes(a) {
		open, err := openBatch(ctx, a, root, wanted, f)
		if err != nil { // what is overdue all the same is shown with it
			late, failed := wanted.Late(ctx, root, keys)
			for _, name := range late {
				open.Skipped = append(open.Skipped, name+": it is overdue, and nothing was rotated")
			}
			err = errors.Join(err, failed)
		}
		if err != nil || open.Result.MergeRequest != "" {
			return errors.Join(err, showBatch(a, f, open))
		}
	}
	batch, err := wanted.Run(ctx, root, keys)
	if err != nil {
		return err
	}
	shown := rotatedBatch{Environment: s.Environment, Secrets: batch.Secrets, Skipped: batch.Skipped, Result: proposed{Commit: batch.Commit}}
	if batch.Commit == nil {
		shown.Result.Next = []string{"nothing: no secret was rotated"}
	} else {
		err = publishBatch(ctx, a, root, f, &shown.Result)
		shown.Result.Next = append(shown.Result.Next, "give other users of a secret the new value, too")
	}
	return differentIf(len(shown.Skipped) > 0, errors.Join(showBatch(a, f, shown), err))
}

// openBatch gives the merge request of the branch that an earlier run has pushed; none if
// GitLab has no such branch. One that was closed is opened again. It refuses a branch of another user.
func openBatch(ctx context.Context, a *app, root string, wanted rotate.Overdue, f rotateFlags) (shown rotatedBatch, err error) {
	shown = rotatedBatch{Environment: wanted.Environment, Secrets: []string{}}
	tree, err := proposal.OpenWorktree(ctx, root)
	if err != nil {
		return shown, err
	}
	tree.Close() // pushing needs no lock
	publisher, err := f.common.publisher(a, tree)
	if err != nil {
		return shown, err
	}
	tip, err := publisher.GitLab.Tip(ctx, wanted.Branch())
	if err != nil || tip == "" {
		return shown, err
	}
	commit := wanted.Pushed(tip)
	if err := publisher.Known(ctx, tree, commit); err != nil {
		return shown, err
	}
	shown.Result.Commit = commit
	err = f.common.publish(ctx, a, tree, &shown.Result)
	shown.Result.Next = []string{"have it reviewed and merged, or delete its branch: until then no other secret is rotated"}
	return shown, err
}

func publishBatch(ctx context.Context, a *app, root string, f rotateFlags, result *proposed) error {
	tree, err := proposal.OpenWorktree(ctx, root)
	if err != nil {
		return err
	}
	tree.Close() // pushing needs no lock
	return f.common.publish(ctx, a, tree, result)
}

func showBatch(a *app, f rotateFlags, shown rotatedBatch) error {
	return printScreen(a.stdout, *f.common.output, batchScreen, shown)
}

// batchScreen shows which secrets were rotated.
func batchScreen(s *page, of rotatedBatch) {
	s.put(plural.Count(len(of.Secrets), "overdue secret"), " rotated")
	for _, name := range of.Secrets {
		s.line("  ", s.green(name))
	}
	for _, text := range of.Skipped {
		s.line(s.yellow("skipped"), " ", tidy(text))
	}
	proposedScreen(s, of.Result)
}
