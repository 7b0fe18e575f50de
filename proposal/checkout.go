package proposal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/index"
)

// checkout checks out the branch: it writes the files, the index and HEAD, in git's order. If one of
// them fails, it restores all. A run that is killed in between leaves what it wrote as changes, staged or
// not, of the branch before.
func (w *Worktree) checkout(files []File, branch plumbing.ReferenceName) error {
	index := strings.TrimSuffix(w.lock, ".lock")
	before, err := os.ReadFile(index)
	if err != nil {
		return fmt.Errorf("read git's index: %w", err)
	}
	if err := w.prepareIndex(files); err != nil {
		return fmt.Errorf("write git's index: %w", err)
	}
	moveHead, err := writeRef(w, plumbing.NewSymbolicReference(plumbing.HEAD, branch))
	if err != nil {
		return fmt.Errorf("check out the branch %s: %w", branch.Short(), err)
	}
	defer func() { _ = os.Remove(inGit(w, pendingRef)) }()
	for i, file := range files {
		if err := w.replace(file.Path, file.After); err != nil {
			return errors.Join(fmt.Errorf("write %s: %w", file.Path, err), w.restore(files[:i]))
		}
	}
	if err := os.Rename(w.lock, index); err != nil {
		return errors.Join(fmt.Errorf("write git's index: %w", err), w.restore(files))
	}
	w.locked = nil
	if err := moveHead(); err != nil {
		return errors.Join(fmt.Errorf("check out the branch %s: %w", branch.Short(), err), write(index, before, 0o644), w.restore(files))
	}
	recordMove(w, branch.Short())
	return nil
}

// recordMove adds the checkout to git's log of HEAD, for `git switch -`. Its errors do no
// harm.
func recordMove(w *Worktree, branch string) {
	now, err := w.git.Repo.Reference(plumbing.NewBranchReferenceName(branch), true)
	log, openErr := os.OpenFile(filepath.Join(filepath.Dir(w.lock), "logs", "HEAD"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil || openErr != nil {
		return
	}
	defer log.Close() //nolint:errcheck // see above
	from := w.head.Hash().String()
	if w.head.Name().IsBranch() {
		from = w.head.Name().Short()
	}
	fmt.Fprintf(log, "%s %s coin-agent <> %d +0000\tcheckout: moving from %s to %s\n", w.head.Hash(), now.Hash(), time.Now().Unix(), from, branch)
}

func (w *Worktree) restore(files []File) error {
	var faults []error
	for _, file := range files {
		if file.Before == nil {
			faults = append(faults, os.Remove(w.path(file.Path)))
		} else {
			faults = append(faults, w.replace(file.Path, file.Before))
		}
	}
	return errors.Join(faults...)
}

func (w *Worktree) path(name string) string {
	return filepath.Join(w.git.Root, filepath.FromSlash(w.git.Prefix+name))
}

// prepareIndex writes the index with the files into git's lock file, which becomes the
// index when it is renamed.
func (w *Worktree) prepareIndex(files []File) error {
	for _, file := range files {
		name := w.git.Prefix + file.Path
		if file.After == nil {
			if _, err := w.index.Remove(name); err != nil && !errors.Is(err, index.ErrEntryNotFound) {
				return err
			}
			continue
		}
		entry, err := w.index.Entry(name)
		if errors.Is(err, index.ErrEntryNotFound) {
			entry = w.index.Add(name)
			entry.Mode = filemode.Regular
		} else if err != nil {
			return err
		}
		entry.Hash = plumbing.ComputeHash(plumbing.BlobObject, file.After)
		entry.Size, entry.ModifiedAt = uint32(len(file.After)), time.Time{} // so git compares the content
	}
	var content bytes.Buffer
	if err := index.NewEncoder(&content).Encode(w.index); err != nil {
		return err
	}
	_, err := w.locked.Write(content.Bytes())
	return errors.Join(err, w.locked.Sync())
}
