package sync

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"coin.internal/coin-agent/internal/apart"
	"coin.internal/coin-agent/internal/fault"
)

// maxLine bounds how many commits Between follows.
const maxLine = 1000

// Commit is a commit of a branch.
type Commit struct {
	Hash    string
	Subject string
	Changes bool // results of the reads that Between is about
}

// Between lists the commits after older up to newer, the newest first: newer, its first
// parent, the first parent of that, and so on, up to older or an ancestor of it. Changes is
// set of those by which the results of the reads in differ between older and newer: not of a
// commit that changes none of them, or whose changes were taken back. The oldest commit is
// compared with older, also if that is not its parent. Between needs no files.
func (r *Repository) Between(ctx context.Context, older, newer string, in Inputs) ([]Commit, error) {
	from, err := commitHash(older)
	if err != nil {
		return nil, err
	}
	tip, err := commitHash(newer)
	if err != nil || tip == from {
		return nil, err
	}
	store, err := r.src.pull(ctx, need{wants: []plumbing.Hash{tip}, have: from, filter: packp.FilterTreeDepth(0)})
	if errors.Is(err, errUnknownHave) {
		return nil, &fault.Error{Message: fmt.Sprintf("%s no longer has commit %s", r.name, older), Err: ErrNotFound}
	}
	if err != nil {
		return nil, err
	}
	line, joins, err := follow(store, from, tip)
	if err != nil {
		return nil, fmt.Errorf("read history of %s: %w", r.name, err)
	}
	if len(line) < 2 || len(in) == 0 {
		for i := range line {
			line[i].Changes = true
		}
		return line, nil
	}
	folders := need{wants: []plumbing.Hash{tip}, depth: len(line) + 1, filter: packp.FilterBlobNone()}
	if !joins {
		folders.wants = append(folders.wants, from)
	}
	if store, err = r.src.pull(ctx, folders); err != nil {
		return nil, err
	}
	return apart.Do(ctx, func() ([]Commit, error) { return r.compare(ctx, store, older, line, in) }, nil)
}

// follow lists the first parents of tip, up to a commit of the history of from. joins means
// that this one is from itself.
func follow(store storer.EncodedObjectStorer, from, tip plumbing.Hash) (line []Commit, joins bool, err error) {
	before := map[plumbing.Hash]bool{}
	for hash, err := range ancestors(store, from) {
		if err != nil {
			return nil, false, err
		}
		before[hash] = true
	}
	for hash := tip; !before[hash]; {
		commit, err := object.GetCommit(store, hash)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			return line, false, nil // an ancestor of from, which the remote leaves out
		}
		if err != nil {
			return nil, false, err
		}
		if len(line) == maxLine {
			return nil, false, fault.New(fault.Place{}, "", "there are more than %d commits between %.10s and %.10s", maxLine, from, tip)
		}
		line = append(line, Commit{Hash: hash.String(), Subject: subject(commit)})
		if len(commit.ParentHashes) == 0 {
			return line, false, nil
		}
		hash = commit.ParentHashes[0]
		joins = hash == from
	}
	return line, joins, nil
}

// ancestors yields a commit and its ancestors, each once, as far as a store knows them.
func ancestors(store storer.EncodedObjectStorer, from plumbing.Hash) iter.Seq2[plumbing.Hash, error] {
	return func(yield func(plumbing.Hash, error) bool) {
		seen := map[plumbing.Hash]bool{}
		for todo := []plumbing.Hash{from}; len(todo) > 0; {
			hash := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if seen[hash] {
				continue
			}
			seen[hash] = true
			if !yield(hash, nil) {
				return
			}
			commit, err := object.GetCommit(store, hash)
			if errors.Is(err, plumbing.ErrObjectNotFound) {
				continue // a remote leaves it out
			}
			if err != nil {
				yield(plumbing.ZeroHash, err)
				return
			}
			todo = append(todo, commit.ParentHashes...)
		}
	}
}

// compare sets Changes of the commits of a line, which has the newest first.
func (r *Repository) compare(ctx context.Context, store storer.EncodedObjectStorer, older string, line []Commit, in Inputs) ([]Commit, error) {
	base, err := r.results(store, older, in)
	if err != nil {
		return nil, err
	}
	before, changed := base, map[string][]int{} // the indexes of the commits that changed a path
	for i, commit := range slices.Backward(line) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		now, err := r.results(store, commit.Hash, in)
		if err != nil {
			return nil, err
		}
		for name, result := range now {
			switch result {
			case base[name]:
				delete(changed, name)
			case before[name]:
			default:
				changed[name] = append(changed[name], i)
			}
		}
		before = now
	}
	for _, of := range changed {
		for _, i := range of {
			line[i].Changes = true
		}
	}
	return line, nil
}

// results gives what the reads in would give in a commit.
func (r *Repository) results(store storer.EncodedObjectStorer, commit string, in Inputs) (Inputs, error) {
	checkout, err := r.read(store, Revision{Commit: commit})
	if err != nil {
		return nil, err
	}
	found := make(Inputs, len(in))
	for name, then := range in {
		at, there, err := checkout.files.literal(name)
		if err == nil && there {
			found[name], err = checkout.files.again(at, then)
		}
		if err != nil {
			return nil, err
		}
		if !there {
			found[name] = absent
		}
	}
	return found, nil
}
