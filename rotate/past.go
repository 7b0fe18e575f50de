package rotate

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// maxCommits is how many commits are searched for versions that were used.
const maxCommits = 2000

// past gives the highest number that a version had in any ancestor of HEAD. A reverted
// rotation has lowered it, but Swarm may still have a secret with the higher number and
// other content.
type past struct {
	work *Worktree
	keys *secrets.Keyring
}

// highest searches the history of one file. It does not find the older commits of a
// shallow clone, nor a version in a file that no key opens any more.
func (p *past) highest(file, variable string) (uint64, error) {
	if p == nil || file == "" {
		return 0, nil
	}
	commits, err := p.work.git.Repo.Log(&git.LogOptions{From: p.work.head.Hash()})
	if err != nil {
		return 0, fmt.Errorf("read the history of %s: %w", file, err)
	}
	defer commits.Close()
	var highest uint64
	seen, left := map[plumbing.Hash]bool{}, maxCommits
	err = commits.ForEach(func(commit *object.Commit) error {
		if left--; left < 0 {
			return storer.ErrStop
		}
		found, err := commit.File(p.work.git.Prefix + file)
		if err != nil || seen[found.Hash] {
			return nil //nolint:nilerr // the commit does not have the file
		}
		seen[found.Hash] = true
		if content, err := found.Contents(); err == nil {
			number, _ := strconv.ParseUint(p.version(file, content, variable), 10, 62)
			highest = max(highest, number)
		}
		return nil
	})
	if err != nil && !errors.Is(err, plumbing.ErrObjectNotFound) && !errors.Is(err, io.EOF) { // the end of a shallow clone
		return 0, fmt.Errorf("read the history of %s: %w", file, err)
	}
	return highest, nil
}

// version gives what a content of the file sets a version to; "" where it is not known.
func (p *past) version(file, content, variable string) string {
	if path.Ext(file) == ".env" {
		return manifests.Assignments(file, []byte(content), nil)[variable].Value
	}
	files, options := []secrets.File{{Path: file, Data: []byte(content)}}, secrets.Options{AllowPlaintext: true}
	set, err := secrets.Seal(files, options) // most versions are readable without a key
	if err == nil && set.Versions()[variable] == "" && p.keys != nil {
		set, err = p.keys.Open(files, options)
	}
	if err != nil {
		return ""
	}
	defer set.Wipe()
	return set.Versions()[variable]
}
