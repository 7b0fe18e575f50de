package rotate

import (
	"context"
	"io/fs"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/proposal"
	"coin.internal/coin-agent/secrets"
)

// takeUp finds the rotation that an earlier run committed and did not finish. It gives nil
// if there is none.
func takeUp(w *proposal.Worktree, request Request) (*proposal.Commit, error) {
	commit, err := w.TakeUp(proposal.Wanted{
		What:    "a rotation of " + request.Name,
		Matches: func(message, branch string) bool { return matches(message, request, branch) },
	})
	return described(commit), err
}

// matches reports whether a commit is the requested rotation.
func matches(message string, request Request, branch string) bool {
	trailers := proposal.Trailers(message)
	nodes := slices.Sorted(slices.Values(request.Nodes))
	return trailers[trailerSecret] == request.Environment+"/"+request.Name &&
		trailers[trailerStack] == request.Stack && trailers[trailerOnly] == strings.Join(slices.Compact(nodes), " ") &&
		trailers[trailerBranch] == branch && (request.Branch == "" || request.Branch == branch)
}

// checkTaken returns an error if the requested value is not that of the rotation.
func checkTaken(ctx context.Context, fsys fs.FS, keys *secrets.Keyring, request Request, commit *proposal.Commit) error {
	if !request.Value.Known() {
		return nil
	}
	for name := range strings.FieldsSeq(commit.Trailers()[trailerNodes]) {
		stacks, err := load(ctx, fsys, request.Environment, name, keys)
		if err != nil {
			return err
		}
		for _, one := range stacks {
			defer one.set.Wipe()
		}
		found, _, err := findAll(stacks, request.Name, request.Stack)
		if err != nil || len(found) == 0 {
			return err
		}
		for _, one := range found {
			same, err := one.holds(fsys, keys, request.Value)
			if err != nil {
				return err
			}
			if !same {
				return fault.New(fault.Place{}, "to rotate with the new value, check out the branch to start from and run: git branch -D "+commit.Branch,
					"the branch %s has a rotation of %s with another value", commit.Branch, request.Name)
			}
		}
	}
	return nil
}

// holds reports whether the secret has a value, with or without the line break at its end, or whether a
// whole file has it as SOPS lays it out.
func (l *loaded) holds(fsys fs.FS, keys *secrets.Keyring, value secrets.Value) (bool, error) {
	trimmed, _ := value.WithoutLineBreak(secrets.Value{})
	present := l.value()
	if present.Equal(value) || present.Equal(trimmed) || l.location.Key != "" {
		return present.Equal(value) || present.Equal(trimmed), nil
	}
	content, err := fs.ReadFile(fsys, l.location.File)
	if err != nil {
		return false, err
	}
	return keys.Holds(secrets.File{Path: l.location.File, Data: content}, value)
}
