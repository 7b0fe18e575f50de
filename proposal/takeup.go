package proposal

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"coin.internal/coin-agent/internal/fault"
)

// Wanted says which commit of an earlier run to finish.
type Wanted struct {
	What    string                            // in errors, such as "a rotation of db_access"
	Matches func(message, branch string) bool // by the message's trailers
}

// TakeUp finds the commit that an earlier run made and did not finish, on the branch that
// is checked out or on one that starts there. It gives nil if there is none.
func (w *Worktree) TakeUp(wanted Wanted) (*Commit, error) {
	branches, err := w.git.Repo.Branches()
	if err != nil {
		return nil, fmt.Errorf("list the branches: %w", err)
	}
	defer branches.Close()
	var found []*object.Commit
	var names []plumbing.ReferenceName
	err = branches.ForEach(func(ref *plumbing.Reference) error {
		commit, err := w.git.Repo.CommitObject(ref.Hash())
		if err != nil || !wanted.Matches(commit.Message, ref.Name().Short()) {
			return nil //nolint:nilerr // a branch without a commit is of another kind
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
		return nil, fault.New(fault.Place{}, "delete one of them: git branch -D "+names[0].Short(), "several branches have %s: %s and %s",
			wanted.What, names[0].Short(), names[1].Short())
	}
	commit, branch := found[0], names[0]
	files, err := w.changed(commit, wanted.What)
	if err != nil {
		return nil, err
	}
	if branch != w.head.Name() {
		if err := w.finish(files, branch, wanted.What); err != nil {
			return nil, err
		}
	}
	taken := w.describe(commit.Hash, branch.Short(), commit.Message, commit.PGPSignature)
	taken.Taken, taken.Files = true, files
	return taken, nil
}

// finish finishes a checkout that was interrupted.
func (w *Worktree) finish(files []File, branch plumbing.ReferenceName, what string) error {
	for _, file := range files {
		onDisk, err := os.ReadFile(w.path(file.Path))
		if err == nil && !bytes.Equal(onDisk, file.Before) && !bytes.Equal(onDisk, file.After) {
			return fault.New(fault.Place{File: file.Path}, "undo them (git restore "+file.Path+"), or delete the branch (git branch -D "+branch.Short()+")",
				"the file has changes that are not committed, and the branch %s has %s that was not finished", branch.Short(), what)
		}
	}
	return w.checkout(files, branch)
}

// changed gives the files of a commit that differ from its parent's.
func (w *Worktree) changed(commit *object.Commit, what string) ([]File, error) {
	parent, err := commit.Parent(0)
	if errors.Is(err, object.ErrParentNotFound) || errors.Is(err, plumbing.ErrObjectNotFound) { // of a shallow clone
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the commit before %s: %w", commit.Hash, err)
	}
	before, err := parent.Tree()
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", parent.Hash, err)
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
		name, within := strings.CutPrefix(cmp.Or(change.To.Name, change.From.Name), w.git.Prefix)
		if !within || name == "" {
			return nil, fault.New(fault.Place{File: change.From.Name}, "check out the branch by hand: git switch BRANCH", "the commit of %s was amended: it changes other files", what)
		}
		old, added, err := change.Files()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		file := File{Path: name}
		for into, blob := range map[*[]byte]*object.File{&file.Before: old, &file.After: added} {
			if blob == nil {
				continue // a new file, or a removed one
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
