// Package worktree opens the git working copy that a folder is in, for the commands
// that work on a clone.
package worktree

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/go-git/go-git/v5"

	"coin.internal/coin-agent/internal/fault"
)

// Worktree is a git working copy on disk.
type Worktree struct {
	Repo   *git.Repository
	Root   string // of the working copy, without symbolic links
	Prefix string // path of the opened folder in it, with a slash at the end, or ""
}

// Open opens the working copy that dir, the folder of environments/, is in.
func Open(dir string) (*Worktree, error) {
	repo, err := git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	if errors.Is(err, git.ErrRepositoryNotExists) {
		return nil, fault.New(fault.Place{File: dir}, "run the command in a clone of the repository, or name one with --repo", "the folder is not in a git working copy")
	}
	if errors.Is(err, git.ErrUnknownExtension) || errors.Is(err, git.ErrUnsupportedExtensionRepositoryFormatVersion) || errors.Is(err, git.ErrUnsupportedRepositoryFormatVersion) {
		err = fault.WithHint(err, "make a plain clone: git clone URL; this one has an extension of git that the agent does not support: git sparse-checkout sets worktreeconfig")
	}
	if err != nil {
		return nil, fmt.Errorf("open the git working copy %s: %w", dir, err)
	}
	tree, err := repo.Worktree()
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("open the git working copy %s: %w", dir, err), "use a clone that has its files checked out: git clone URL")
	}
	root, err := resolved(tree.Filesystem.Root())
	if err != nil {
		return nil, err
	}
	folder, err := resolved(dir)
	if err != nil {
		return nil, err
	}
	within, err := filepath.Rel(root, folder)
	if err != nil {
		return nil, err
	}
	w := &Worktree{Repo: repo, Root: root}
	if within != "." {
		w.Prefix = filepath.ToSlash(within) + "/"
	}
	return w, nil
}

// resolved gives the absolute path without symbolic links.
func resolved(name string) (string, error) {
	absolute, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(absolute)
}
