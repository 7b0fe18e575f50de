package proposal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// write writes a new file to the disk. One of that name is of a run that was interrupted.
func write(path string, content []byte, mode fs.FileMode) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Chmod(mode), file.Sync(), file.Close())
}

// replace writes a file of ciphertext or versions: a temporary file in the same folder,
// with the same mode, is renamed. Without content it removes the file, which a run that was interrupted
// may have removed already.
func (w *Worktree) replace(name string, content []byte) error {
	path, mode := w.path(name), fs.FileMode(0o644)
	if content == nil {
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if info, err := os.Lstat(path); err == nil {
		mode = info.Mode().Perm()
	}
	temporary := filepath.Join(filepath.Dir(path), ".coin-agent."+filepath.Base(path))
	err := write(temporary, content, mode)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		_ = os.Remove(temporary)
	}
	return err
}

// inGit gives the path of a file of git's own folder, which only this working copy has.
func inGit(w *Worktree, name string) string { return filepath.Join(filepath.Dir(w.lock), name) }

// pendingRef is a ref that is not in its place yet.
const pendingRef = "coin-agent.ref"

// writeRef writes the file of a ref beside its place, and gives the function that moves it there. The
// library would empty the file first: a run that is killed then leaves a clone that git does not open.
func writeRef(w *Worktree, ref *plumbing.Reference) (move func() error, err error) {
	temporary, path := inGit(w, pendingRef), inGit(w, ref.Name().String())
	if storage, ok := w.git.Repo.Storer.(*filesystem.Storage); ok && ref.Name() != plumbing.HEAD {
		refs, err := storage.Filesystem().Chroot("refs") // all working copies of a clone share them
		if err != nil {
			return nil, err
		}
		path = filepath.Join(filepath.Dir(refs.Root()), filepath.FromSlash(ref.Name().String()))
	}
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(inGit(w, "HEAD")); err == nil {
		mode = info.Mode().Perm()
	}
	text := ref.Strings()[1] + "\n"
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), write(temporary, []byte(text), mode)); err != nil {
		return nil, err
	}
	return func() error { return os.Rename(temporary, path) }, nil
}

// setBranch makes a branch, or moves it.
func setBranch(w *Worktree, name plumbing.ReferenceName, hash plumbing.Hash) error {
	move, err := writeRef(w, plumbing.NewHashReference(name, hash))
	if err == nil {
		err = move()
	}
	if err != nil {
		return fmt.Errorf("make the branch %s: %w", name.Short(), err)
	}
	return nil
}
