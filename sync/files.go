package sync

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
)

const (
	modeFolder    = filemode.Dir
	modeLink      = filemode.Symlink
	modeSubmodule = filemode.Submodule

	maxHops = 40      // symbolic links in one path, the limit of Linux
	maxLink = 4 << 10 // bytes of a symbolic link's target, the same
)

// files is a commit's tree as a file system.
type files struct {
	root node
	when time.Time // of every file, so that it does not depend on the time of the fetch

	limits limits.Limits

	mu    *sync.Mutex // guards all fields below; the stores of go-git are not safe for concurrent use
	store storer.EncodedObjectStorer
	more  func(blobs []plumbing.Hash) error
	trees map[plumbing.Hash]folder
	read  Inputs

	entries int // of all trees
}

// node is an entry of a git tree.
type node struct {
	mode filemode.FileMode
	hash plumbing.Hash
}

type folder map[string]node

// Limits gives the limits for what is read of the files.
func (f *files) Limits() limits.Limits { return f.limits }

// folder returns the entries of a tree.
func (f *files) folder(hash plumbing.Hash) (folder, error) {
	if known, ok := f.trees[hash]; ok {
		return known, nil
	}
	tree, err := object.GetTree(f.store, hash)
	if err != nil {
		return nil, fmt.Errorf("read tree %s: %w", hash, err)
	}
	f.entries += len(tree.Entries)
	if err := limits.Within(fault.Place{}, "objects", "the number of files and folders is", f.entries, f.limits.Objects); err != nil {
		return nil, err
	}
	entries := make(folder, len(tree.Entries))
	for _, e := range tree.Entries {
		if e.Name == "." || strings.Contains(e.Name, "/") || !fs.ValidPath(e.Name) {
			return nil, fmt.Errorf("read tree %s: invalid file name %q", hash, e.Name)
		}
		entries[e.Name] = node{e.Mode, e.Hash}
	}
	f.trees[hash] = entries
	return entries, nil
}

// literal looks up a path without following links. For a path behind a link it returns a
// link without a hash, which differs from a missing path.
func (f *files) literal(name string) (at node, found bool, err error) {
	at = f.root
	if name == "." {
		return at, true, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		if at.mode == modeLink {
			return node{mode: modeLink}, true, nil
		}
		if at.mode != modeFolder {
			return node{}, false, nil
		}
		entries, err := f.folder(at.hash)
		if err != nil {
			return node{}, false, err
		}
		if at, found = entries[part]; !found {
			return node{}, false, nil
		}
	}
	return at, true, nil
}

// resolve returns the path without links, and what is there. It follows links within the
// repository, one at the end of the path only if last is set. It records the links in the
// path and missing files as inputs.
func (f *files) resolve(op, name string, last bool) (where string, at node, err error) {
	if !fs.ValidPath(name) {
		return "", node{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	where = "."
	todo := strings.Split(name, "/")
	for hops := 0; len(todo) > 0; {
		where, todo = path.Join(where, todo[0]), todo[1:]
		if where == ".." {
			return "", node{}, fault.New(fault.Place{File: name}, "use links within the repository", "the path has a symbolic link that leaves the repository")
		}
		var found bool
		if at, found, err = f.literal(where); err != nil {
			return "", node{}, err
		}
		if !found {
			return "", node{}, f.missed(op, name, where, todo)
		}
		if at.mode == modeSubmodule {
			f.note(where, at.input())
			return "", node{}, fault.New(fault.Place{File: where}, "put the files into the repository", "git submodules are not supported")
		}
		if at.mode != modeLink {
			continue
		}
		f.note(where, at.input())
		if !last && len(todo) == 0 {
			break
		}
		target, err := f.target(where, at)
		if err != nil {
			return "", node{}, err
		}
		if hops++; hops > maxHops {
			return "", node{}, fault.New(fault.Place{File: name}, "remove the circular links", "the path has too many symbolic links")
		}
		where, todo = path.Dir(where), append(target, todo...)
	}
	return where, at, nil
}

// target reads the target of a link, relative to the link's folder.
func (f *files) target(where string, at node) ([]string, error) {
	target, err := f.blob(where, at.hash)
	if err != nil {
		return nil, err
	}
	if len(target) > maxLink {
		return nil, fault.New(fault.Place{File: where}, "use a shorter link", "the target of the symbolic link has more than %d bytes", maxLink)
	}
	if path.IsAbs(string(target)) {
		return nil, fault.New(fault.Place{File: where}, "use a relative link within the repository",
			"the symbolic link leaves the repository: %s", target)
	}
	return strings.Split(string(target), "/"), nil
}

// missed records a missing path as an input.
func (f *files) missed(op, name, here string, rest []string) error {
	if !slices.Contains(rest, "..") {
		here = path.Join(here, path.Join(rest...))
	}
	f.note(here, absent)
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// blob returns a file's content, from the remote if necessary.
func (f *files) blob(name string, hash plumbing.Hash) ([]byte, error) {
	size, err := f.store.EncodedObjectSize(hash)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		if err := f.more([]plumbing.Hash{hash}); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		size, err = f.store.EncodedObjectSize(hash)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: blob %s: %w", name, hash, err)
	}
	if err := limits.Within(fault.Place{File: name}, "file_bytes", "the file has", limits.Bytes(size), f.limits.FileBytes); err != nil {
		return nil, err
	}
	found, err := object.GetBlob(f.store, hash)
	if err != nil {
		return nil, fmt.Errorf("read %s: blob %s: %w", name, hash, err)
	}
	reader, err := found.Reader()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer func() { _ = reader.Close() }() // only read from
	content, err := io.ReadAll(reader)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return content, nil
}

// file returns the content of a regular file.
func (f *files) file(where string, at node) ([]byte, error) {
	f.note(where, at.input())
	content, err := f.blob(where, at.hash)
	if err != nil {
		return nil, err
	}
	if len(content) < 1024 && bytes.HasPrefix(content, []byte("version https://git-lfs.github.com/spec/")) {
		return nil, fault.New(fault.Place{File: where}, "commit the file itself with git lfs untrack and git add --renormalize",
			"the file is a Git LFS pointer, not the content")
	}
	return content, nil
}

// prefetch requests the missing blobs at and below the paths.
func (f *files) prefetch(paths []string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	missing, seen := map[plumbing.Hash]bool{}, map[plumbing.Hash]bool{}
	for _, name := range paths {
		at, found, err := f.literal(name)
		if err == nil && found {
			err = f.missing(at, missing, seen)
		}
		if err != nil {
			return err
		}
	}
	if len(missing) == 0 {
		return nil
	}
	blobs := slices.SortedFunc(maps.Keys(missing), func(a, b plumbing.Hash) int { return bytes.Compare(a[:], b[:]) })
	if err := f.more(blobs); err != nil {
		return err
	}
	for _, hash := range blobs {
		if err := f.store.HasEncodedObject(hash); err != nil {
			return fmt.Errorf("the remote did not send blob %s", hash)
		}
	}
	return nil
}

// missing adds the missing blobs of a node. It reads each folder once, however often it
// appears: a few trees that contain each other twice stand for any number of folders.
func (f *files) missing(at node, into, seen map[plumbing.Hash]bool) error {
	if at.mode == modeSubmodule || seen[at.hash] {
		return nil
	}
	seen[at.hash] = true
	if at.mode != modeFolder {
		if f.store.HasEncodedObject(at.hash) != nil {
			into[at.hash] = true
		}
		return nil
	}
	entries, err := f.folder(at.hash)
	if err != nil {
		return err
	}
	for _, child := range entries {
		if err := f.missing(child, into, seen); err != nil {
			return err
		}
	}
	return nil
}
