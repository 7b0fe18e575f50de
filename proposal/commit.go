package proposal

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/lazyregexp"
)

// Commit writes the files, commits them on a new branch and checks it out. If one step
// fails, nothing has changed.
func (w *Worktree) Commit(draft Draft) (*Commit, error) {
	name := plumbing.NewBranchReferenceName(draft.Branch)
	if err := name.Validate(); err != nil {
		return nil, fault.New(fault.Place{}, "name another with --branch", "%q is not a valid branch name", draft.Branch)
	}
	if w.Has(draft.Branch) {
		return nil, fault.New(fault.Place{}, "merge it, delete it (git branch -D "+draft.Branch+"), or name another with --branch", "the branch %s exists already", draft.Branch)
	}
	author, err := w.author(draft.Author)
	if err != nil {
		return nil, err
	}
	if err := w.checkClean(draft.Files); err != nil {
		return nil, err
	}
	made, err := w.store(draft, author)
	if err != nil {
		return nil, fmt.Errorf("make the commit: %w", err)
	}
	// From here on, the next run finishes an interrupted one.
	if err := setBranch(w, name, made); err != nil {
		return nil, err
	}
	if err := w.checkout(draft.Files, name); err != nil {
		return nil, errors.Join(err, w.git.Repo.Storer.RemoveReference(name))
	}
	commit := w.describe(made, draft.Branch, draft.Message, "")
	commit.Files = draft.Files
	return commit, nil
}

func (w *Worktree) describe(hash plumbing.Hash, branch, message, signature string) *Commit {
	subject, _, _ := strings.Cut(message, "\n")
	return &Commit{
		Hash: hash.String(), Branch: branch, Message: subject,
		Unsigned: signature == "" && wantsSignature(w), full: message,
	}
}

// store writes blobs, trees and the commit. No ref points to them yet.
func (w *Worktree) store(draft Draft, author object.Signature) (plumbing.Hash, error) {
	tree := w.commit.TreeHash
	for _, file := range draft.Files {
		if file.After == nil {
			var err error
			if tree, err = prune(w.git.Repo, tree, w.git.Prefix+file.Path); err != nil {
				return plumbing.ZeroHash, err
			}
			continue
		}
		blob := &plumbing.MemoryObject{}
		blob.SetType(plumbing.BlobObject)
		if _, err := blob.Write(file.After); err != nil {
			return plumbing.ZeroHash, err
		}
		hash, err := w.git.Repo.Storer.SetEncodedObject(blob)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		if tree, err = graft(w.git.Repo, tree, w.git.Prefix+file.Path, hash); err != nil {
			return plumbing.ZeroHash, err
		}
	}
	return encode(w.git.Repo, &object.Commit{
		Author: author, Committer: author, Message: draft.Message, TreeHash: tree, ParentHashes: []plumbing.Hash{w.head.Hash()},
	})
}

// graft writes a tree with one file replaced or added.
func graft(repo *git.Repository, tree plumbing.Hash, path string, blob plumbing.Hash) (plumbing.Hash, error) {
	read := &object.Tree{} // a new folder
	if !tree.IsZero() {
		var err error
		if read, err = repo.TreeObject(tree); err != nil {
			return plumbing.ZeroHash, fmt.Errorf("read the folder of %s: %w", path, err)
		}
	}
	name, rest, nested := strings.Cut(path, "/")
	mode := filemode.Regular
	if nested {
		mode = filemode.Dir
	}
	entries := slices.Clone(read.Entries)
	at := slices.IndexFunc(entries, func(e object.TreeEntry) bool { return e.Name == name })
	if at < 0 {
		at = len(entries)
		entries = append(entries, object.TreeEntry{Name: name, Mode: mode})
	}
	if nested {
		var err error
		if blob, err = graft(repo, entries[at].Hash, rest, blob); err != nil {
			return plumbing.ZeroHash, err
		}
	}
	entries[at].Hash = blob
	sort.Sort(object.TreeEntrySorter(entries))
	return encode(repo, &object.Tree{Entries: entries})
}

// prune writes a tree without one file, and without the folders that are empty then.
func prune(repo *git.Repository, tree plumbing.Hash, path string) (plumbing.Hash, error) {
	read, err := repo.TreeObject(tree)
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("read the folder of %s: %w", path, err)
	}
	name, rest, nested := strings.Cut(path, "/")
	entries := slices.Clone(read.Entries)
	at := slices.IndexFunc(entries, func(e object.TreeEntry) bool { return e.Name == name })
	if at < 0 {
		return tree, nil
	}
	below := plumbing.ZeroHash
	if nested {
		if below, err = prune(repo, entries[at].Hash, rest); err != nil {
			return plumbing.ZeroHash, err
		}
	}
	if entries[at].Hash = below; below.IsZero() {
		entries = slices.Delete(entries, at, at+1)
	}
	if len(entries) == 0 {
		return plumbing.ZeroHash, nil
	}
	return encode(repo, &object.Tree{Entries: entries})
}

func encode(repo *git.Repository, what object.Object) (plumbing.Hash, error) {
	stored := repo.Storer.NewEncodedObject()
	if err := what.Encode(stored); err != nil {
		return plumbing.ZeroHash, err
	}
	return repo.Storer.SetEncodedObject(stored)
}

var authorForm = lazyregexp.New(`^\s*([^<>]*[^<>\s])\s*<([^<>\s]+)>\s*$`)

// author gives the requested author, else that of git's configuration files. It does not
// read environment variables.
func (w *Worktree) author(asked string) (object.Signature, error) {
	signature := object.Signature{When: time.Now()}
	if asked != "" {
		found := authorForm().FindStringSubmatch(asked)
		if found == nil {
			return signature, fault.New(fault.Place{}, `write it as "Ada Engineer <ada@coin.example>"`, "--author is not a name with a mail address")
		}
		signature.Name, signature.Email = found[1], found[2]
		return signature, nil
	}
	signature.Name, signature.Email = cmp.Or(w.set["author.name"], w.set["user.name"]), cmp.Or(w.set["author.email"], w.set["user.email"])
	if signature.Name == "" || signature.Email == "" {
		return signature, fault.New(fault.Place{}, `run: git config user.name "Your Name" && git config user.email you@example.com; or add --author`,
			"git's configuration does not have a user.name and a user.email")
	}
	return signature, nil
}

// wantsSignature reports whether git is configured to sign commits here.
func wantsSignature(w *Worktree) bool {
	return !slices.Contains([]string{"", "false", "no", "off", "0"}, strings.ToLower(w.set["commit.gpgsign"]))
}
