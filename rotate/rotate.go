package rotate

import (
	"context"
	"fmt"
	"io/fs"
	"os"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

// Result is the result of a rotation.
type Result struct {
	Plan   *Plan // nil where an earlier run made the commit
	Commit *Commit
}

// Run rotates a secret in a working copy: plan, files, commit. If an earlier run has
// committed the rotation and was interrupted, Run finishes that one, with its value.
func Run(ctx context.Context, w *Worktree, keys *secrets.Keyring, request Request) (*Result, error) {
	if !request.Value.Known() {
		if err := request.Generate.Check(); err != nil {
			return nil, err
		}
	}
	root, err := os.OpenRoot(w.Dir())
	if err != nil {
		return nil, fmt.Errorf("open the repository: %w", err)
	}
	defer func() { _ = root.Close() }()
	fsys, ok := root.FS().(fs.ReadLinkFS)
	if !ok {
		return nil, fault.New(fault.Place{File: w.Dir()}, "", "the symbolic links of the folder cannot be read")
	}
	commit, err := w.TakeUp(request)
	if err != nil {
		return nil, err
	}
	if commit != nil {
		return &Result{Commit: commit}, checkTaken(ctx, fsys, keys, request, commit)
	}
	request.past = pastOf(ctx, w.Dir(), request.Environment, keys)
	plan, err := MakePlan(ctx, fsys, keys, request)
	if err != nil {
		return nil, err
	}
	if commit, err = w.Commit(plan, request); err != nil {
		return nil, err
	}
	return &Result{Plan: plan, Commit: commit}, nil
}
