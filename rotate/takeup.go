package rotate

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

// The last lines of a rotation's commit, which a later run looks for.
const (
	trailerSecret = "Rotated-Secret" // environment and name, as requested
	trailerNodes  = "Rotated-Nodes"
	trailerOnly   = "Rotated-Only" // the nodes that the request named
	trailerBranch = "Rotation-Branch"
)

// TakeUp finds the rotation that an earlier run committed and did not finish, on the
// branch that is checked out or on one that starts there. It gives nil if there is none.
func (w *Worktree) TakeUp(request Request) (*Commit, error) {
	branches, err := w.git.Repo.Branches()
	if err != nil {
		return nil, fmt.Errorf("list the branches: %w", err)
	}
	defer branches.Close()
	var found []*object.Commit
	var names []plumbing.ReferenceName
	err = branches.ForEach(func(ref *plumbing.Reference) error {
		commit, err := w.git.Repo.CommitObject(ref.Hash())
		if err != nil || !matches(commit.Message, request, ref.Name().Short()) {
			return nil //nolint:nilerr // a branch without a commit is not a rotation
		}
		here := ref.Name() == w.head.Name()
		if here || len(commit.ParentHashes) == 1 && commit.ParentHashes[0] == w.head.Hash() {
			found, names = append(found, commit), append(names, ref.Name())
		}
		return nil
	})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	if len(found) > 1 {
		return nil, fault.New(fault.Place{}, "delete one of them: git branch -D "+names[0].Short(), "several branches have a rotation of %s: %s and %s",
			request.Name, names[0].Short(), names[1].Short())
	}
	commit, branch := found[0], names[0]
	if branch != w.head.Name() {
		if err := w.finish(commit, branch); err != nil {
			return nil, err
		}
	}
	return w.describe(commit.Hash, branch.Short(), commit.Message, true, commit.PGPSignature), nil
}

// matches reports whether a commit is the requested rotation.
func matches(message string, request Request, branch string) bool {
	trailers := trailersOf(message)
	nodes := slices.Sorted(slices.Values(request.Nodes))
	return trailers[trailerSecret] == request.Environment+"/"+request.Name &&
		trailers[trailerOnly] == strings.Join(slices.Compact(nodes), " ") &&
		trailers[trailerBranch] == branch && (request.Branch == "" || request.Branch == branch)
}

func trailersOf(message string) map[string]string {
	trailers := map[string]string{}
	for line := range strings.Lines(message) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			trailers[name] = value
		}
	}
	return trailers
}

// finish finishes a checkout that was interrupted.
func (w *Worktree) finish(commit *object.Commit, branch plumbing.ReferenceName) error {
	files, err := w.changed(commit)
	if err != nil {
		return err
	}
	for _, file := range files {
		onDisk, err := os.ReadFile(w.path(file.Path))
		if err == nil && !bytes.Equal(onDisk, file.Before) && !bytes.Equal(onDisk, file.After) {
			return fault.New(fault.Place{File: file.Path}, "undo them (git restore "+file.Path+"), or delete the branch (git branch -D "+branch.Short()+")",
				"the file has changes that are not committed, and the branch %s has a rotation that was not finished", branch.Short())
		}
	}
	return w.checkout(files, branch)
}

// changed gives the files of a commit that differ from its parent's.
func (w *Worktree) changed(commit *object.Commit) ([]File, error) {
	before, err := w.commit.Tree()
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", w.head.Hash(), err)
	}
	after, err := commit.Tree()
	if err != nil {
		return nil, err
	}
	changes, err := before.Diff(after)
	if err != nil {
		return nil, fmt.Errorf("compare with commit %s: %w", commit.Hash, err)
	}
	var files []File
	for _, change := range changes {
		name, within := strings.CutPrefix(change.To.Name, w.git.Prefix)
		if !within || name == "" {
			return nil, fault.New(fault.Place{File: change.From.Name}, "check out the branch by hand: git switch BRANCH", "the commit of the rotation was amended: it changes other files")
		}
		old, added, err := change.Files()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		file := File{Path: name}
		for into, blob := range map[*[]byte]*object.File{&file.Before: old, &file.After: added} {
			if blob == nil {
				continue // a new file
			}
			text, err := blob.Contents()
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", name, err)
			}
			*into = []byte(text)
		}
		files = append(files, file)
	}
	return files, nil
}

// checkTaken returns an error if the requested value is not that of the rotation.
func checkTaken(ctx context.Context, fsys fs.FS, keys *secrets.Keyring, request Request, commit *Commit) error {
	if !request.Value.Known() {
		return nil
	}
	for _, name := range commit.nodes {
		one, err := load(ctx, fsys, request.Environment, name, keys)
		if err != nil {
			return err
		}
		defer one.set.Wipe()
		if found, err := one.find(request.Name); err != nil || !found {
			return err
		}
		trimmed, _ := request.Value.WithoutLineBreak(secrets.Value{})
		if present := one.value(); !present.Equal(request.Value) && !present.Equal(trimmed) {
			return fault.New(fault.Place{}, "to rotate with the new value, check out the branch to start from and run: git branch -D "+commit.Branch,
				"the branch %s has a rotation of %s with another value", commit.Branch, request.Name)
		}
	}
	return nil
}
