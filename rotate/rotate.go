package rotate

import (
	"context"

	"coin.internal/coin-agent/proposal"
	"coin.internal/coin-agent/secrets"
)

// Result is the result of a rotation.
type Result struct {
	Plan   *Plan // nil where an earlier run made the commit
	Commit *proposal.Commit
}

// Run rotates a secret in a working copy: plan, files, commit. If an earlier run has
// committed the rotation and was interrupted, Run finishes that one, with its value.
func Run(ctx context.Context, w *proposal.Worktree, keys *secrets.Keyring, request Request) (*Result, error) {
	if !request.Value.Known() {
		if err := request.Generate.Check(); err != nil {
			return nil, err
		}
	}
	fsys, err := w.Files()
	if err != nil {
		return nil, err
	}
	commit, err := takeUp(w, request)
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
	if commit, err = plan.commit(w, request); err != nil {
		return nil, err
	}
	return &Result{Plan: plan, Commit: commit}, nil
}
