package sync

import (
	"errors"
	"maps"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/storage/memory"

	"coin.internal/coin-agent/internal/limits"
)

// errUnusable means that the remote's answer does not fit the folders that are known here.
var errUnusable = errors.New("the pack builds on other folders than the known ones")

// mostKnown bounds the folders that are kept between two fetches: those of ten thousand nodes.
const mostKnown limits.Bytes = 4 << 20

// known are the folders of the commit that was fetched last. The next fetch tells the remote of
// them, so that it sends only the folders that differ, as differences from these: a commit that
// changes another node costs some hundred bytes, however many nodes there are. A known is
// complete, and is not changed.
type known struct {
	commit  plumbing.EncodedObject
	folders map[plumbing.Hash]plumbing.EncodedObject
	whole   limits.Bytes // of the folders, when they were those of one commit only
}

// knowable tells whether a need is a commit with all its folders, and nothing else.
func (n need) knowable() bool {
	return n.depth == 1 && len(n.wants) == 1 && n.have.IsZero() && n.filter == packp.FilterBlobNone()
}

// storage gives a store with the known folders.
func (k *known) storage() *memory.Storage {
	if k == nil {
		return memory.NewStorage()
	}
	return storageOf(k.folders)
}

// storageOf gives a store with some folders.
func storageOf(folders map[plumbing.Hash]plumbing.EncodedObject) *memory.Storage {
	store := memory.NewStorage()
	store.Objects, store.Trees = maps.Clone(folders), maps.Clone(folders)
	return store
}

// learn gives what a store knows after the fetch of a commit that built on before; nil if that
// is too much to keep, or if the store has more than the folders, or not all of them. Folders of
// earlier commits stay until they double the size.
func learn(store *memory.Storage, commit plumbing.Hash, before *known) *known {
	now := &known{commit: store.Commits[commit], folders: maps.Clone(store.Trees)}
	if now.commit == nil || len(store.Blobs) > 0 || !before.completes(store, commit) {
		return nil
	}
	size := sizeOf(now.folders)
	if before != nil && size > 2*before.whole {
		now.folders = reachable(store, commit, nil)
		size, before = sizeOf(now.folders), nil
	}
	if now.whole = size; before != nil {
		now.whole = before.whole
	}
	if size == 0 || size > mostKnown {
		return nil
	}
	return now
}

func sizeOf(folders map[plumbing.Hash]plumbing.EncodedObject) (size limits.Bytes) {
	for _, folder := range folders {
		size += limits.Bytes(folder.Size())
	}
	return size
}

// completes reports whether a store that has the known folders has all folders of a commit.
func (k *known) completes(store *memory.Storage, commit plumbing.Hash) bool {
	var has map[plumbing.Hash]plumbing.EncodedObject
	if k != nil {
		has = k.folders
	}
	return reachable(store, commit, has) != nil
}

// reachable gives the folders of a commit without those that are reached through the known ones,
// which are complete; nil if one is missing.
func reachable(store *memory.Storage, commit plumbing.Hash, known map[plumbing.Hash]plumbing.EncodedObject) map[plumbing.Hash]plumbing.EncodedObject {
	found := map[plumbing.Hash]plumbing.EncodedObject{}
	read, err := object.GetCommit(store, commit)
	if err != nil {
		return nil
	}
	for todo := []plumbing.Hash{read.TreeHash}; len(todo) > 0; {
		hash := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if found[hash] != nil || known[hash] != nil {
			continue
		}
		tree, err := object.GetTree(store, hash)
		if err != nil {
			return nil
		}
		found[hash] = store.Trees[hash]
		for _, entry := range tree.Entries {
			if entry.Mode == modeFolder {
				todo = append(todo, entry.Hash)
			}
		}
	}
	return found
}
