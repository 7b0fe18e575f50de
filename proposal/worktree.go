package proposal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/index"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/worktree"
)

// Worktree is a git working copy, locked against git until Close.
type Worktree struct {
	git    *worktree.Worktree
	lock   string // git's own lock of the index
	locked *os.File
	head   *plumbing.Reference // HEAD, followed to a commit
	commit *object.Commit      // of HEAD
	index  *index.Index
	files  *os.Root          // nil until Files
	set    map[string]string // by git's configuration, of what a commit needs
}

// OpenWorktree opens the working copy that dir, the folder of environments/, is in, and
// locks it.
func OpenWorktree(ctx context.Context, dir string) (*Worktree, error) {
	opened, err := worktree.Open(dir)
	if err != nil {
		return nil, err
	}
	w := &Worktree{git: opened, set: settings(ctx, opened)}
	if err := w.acquire(); err != nil {
		return nil, err
	}
	if err := w.read(); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// Close releases the lock.
func (w *Worktree) Close() {
	if w.files != nil {
		_ = w.files.Close()
		w.files = nil
	}
	if w.locked != nil {
		_ = w.locked.Close()
		_ = os.Remove(w.lock)
		w.locked = nil
	}
}

// acquire takes the lock that git takes to change the index.
func (w *Worktree) acquire() error {
	storage, ok := w.git.Repo.Storer.(*filesystem.Storage)
	if !ok {
		return errors.New("open the git working copy: it is not on disk")
	}
	w.lock = filepath.Join(storage.Filesystem().Root(), "index.lock")
	locked, err := os.OpenFile(w.lock, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, os.ErrExist) {
		return fault.New(fault.Place{File: w.lock}, "wait until it ends; if no git process is running, remove the file", "another git process works in this working copy")
	}
	if err != nil {
		return fmt.Errorf("lock the git working copy: %w", err)
	}
	w.locked = locked
	return nil
}

func (w *Worktree) read() error {
	var err error
	if w.head, err = w.git.Repo.Head(); err != nil {
		return fault.WithHint(fmt.Errorf("read HEAD of %s: %w", w.git.Root, err), "check out the branch to start from: git switch BRANCH")
	}
	if w.commit, err = w.git.Repo.CommitObject(w.head.Hash()); err != nil {
		return fmt.Errorf("read commit %s: %w", w.head.Hash(), err)
	}
	if w.index, err = w.git.Repo.Storer.Index(); err != nil {
		return fault.WithHint(fmt.Errorf("read the index of %s: %w", w.git.Root, err), "make a new clone: this one uses a feature of git that the agent does not support")
	}
	return nil
}

// Dir is the folder that holds environments/.
func (w *Worktree) Dir() string { return filepath.Join(w.git.Root, filepath.FromSlash(w.git.Prefix)) }

// Files gives the files of the folder until Close. No link leads out of it.
func (w *Worktree) Files() (fs.ReadLinkFS, error) {
	if w.files == nil {
		root, err := os.OpenRoot(w.Dir())
		if err != nil {
			return nil, fmt.Errorf("open the repository: %w", err)
		}
		w.files = root
	}
	files, ok := w.files.FS().(fs.ReadLinkFS)
	if !ok {
		return nil, fault.New(fault.Place{File: w.Dir()}, "", "the symbolic links of the folder cannot be read")
	}
	return files, nil
}

// Outside returns an error for a file of plaintext in the working copy.
func (w *Worktree) Outside(name string) error {
	absolute, err := filepath.Abs(name)
	if err != nil {
		return err
	}
	if absolute, err = filepath.EvalSymlinks(absolute); err != nil {
		return nil // reading it gives the error
	}
	if within, err := filepath.Rel(w.git.Root, absolute); err == nil && filepath.IsLocal(within) {
		return fault.New(fault.Place{File: name}, "move it out of the repository, or pipe the value in: --value-file -",
			"the file with the new value is in the working copy, where it could be committed")
	}
	return nil
}

// Has reports whether the branch exists.
func (w *Worktree) Has(branch string) bool {
	_, err := w.git.Repo.Reference(plumbing.NewBranchReferenceName(branch), false)
	return err == nil
}

// Branch gives the name of the branch that is checked out; without one it gives "HEAD".
func (w *Worktree) Branch() string { return w.head.Name().Short() }

// Head gives the commit that is checked out.
func (w *Worktree) Head() *Commit {
	return w.describe(w.head.Hash(), w.Branch(), w.commit.Message, w.commit.PGPSignature)
}

// Move sets a branch to the commit that is checked out, and checks the branch out.
func (w *Worktree) Move(branch string) error {
	name := plumbing.NewBranchReferenceName(branch)
	if err := setBranch(w, name, w.head.Hash()); err != nil {
		return err
	}
	return w.checkout(nil, name)
}

// Remove removes the branches whose names begin with prefix, and whose commits the commit that is checked
// out has as ancestors: those of another branch would be lost.
func (w *Worktree) Remove(prefix string) error {
	refs, err := w.git.Repo.Branches()
	if err != nil {
		return fmt.Errorf("list the branches: %w", err)
	}
	defer refs.Close()
	return refs.ForEach(func(ref *plumbing.Reference) error {
		if !strings.HasPrefix(ref.Name().Short(), prefix) {
			return nil
		}
		contained := false
		if tip, err := w.git.Repo.CommitObject(ref.Hash()); err == nil {
			contained, _ = tip.IsAncestor(w.commit) // false at the end of a shallow clone's history
		}
		if !contained {
			return nil
		}
		return w.git.Repo.Storer.RemoveReference(ref.Name())
	})
}

// checkClean returns an error for files with changes that are not committed.
func (w *Worktree) checkClean(files []File) error {
	tree, err := w.commit.Tree()
	if err != nil {
		return fmt.Errorf("read commit %s: %w", w.head.Hash(), err)
	}
	var faults []error
	for _, file := range files {
		faults = append(faults, checkFile(w, tree, file))
	}
	return errors.Join(faults...)
}

func checkFile(w *Worktree, tree *object.Tree, file File) error {
	dirty := fault.New(fault.Place{File: file.Path}, "commit or restore them first: git status", "the file has changes that are not committed")
	name := w.git.Prefix + file.Path
	entry, err := tree.FindEntry(name)
	staged, stagedErr := w.index.Entry(name)
	switch {
	case err != nil && file.Before == nil && stagedErr != nil:
		if _, err := os.Lstat(w.path(file.Path)); !errors.Is(err, os.ErrNotExist) {
			return fault.New(fault.Place{File: file.Path}, "move it away first", "there is a file that is not in git, where the change adds one")
		}
		return nil // a new file
	case err != nil:
		return fault.New(fault.Place{File: file.Path}, "commit it first", "the file is not in git's last commit")
	case file.Before == nil, stagedErr != nil, staged.Hash != entry.Hash, entry.Hash != plumbing.ComputeHash(plumbing.BlobObject, file.Before):
		return dirty
	}
	onDisk, err := os.ReadFile(filepath.Join(w.git.Root, filepath.FromSlash(name)))
	if err != nil || !bytes.Equal(onDisk, file.Before) {
		return dirty
	}
	return nil
}
