package provenance

import (
	"errors"
	"io"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

const (
	maxBlob  = 4 << 20 // of the files that are read; larger ones are no settings
	maxLinks = 40      // how many symbolic links one path may lead through
)

// store reads git's objects, and keeps the folders that it has read.
type store struct {
	graph *graph
	trees map[plumbing.Hash][]object.TreeEntry
	fault error // the first object that could not be read
}

func newStore(g *graph) *store {
	return &store{graph: g, trees: map[plumbing.Hash][]object.TreeEntry{}}
}

// folder lists what stands in a folder.
func (s *store) folder(tree plumbing.Hash) []object.TreeEntry {
	if entries, ok := s.trees[tree]; ok {
		return entries
	}
	read, err := s.graph.repo.TreeObject(tree)
	if err != nil {
		s.fault = errors.Join(s.fault, incomplete("folder", tree, err))
		return nil
	}
	s.trees[tree] = read.Entries
	return read.Entries
}

func (s *store) entry(tree plumbing.Hash, name string) (object.TreeEntry, bool) {
	for _, one := range s.folder(tree) {
		if one.Name == name {
			return one, true
		}
	}
	return object.TreeEntry{}, false
}

// blob reads a file; one that is too large is empty.
func (s *store) blob(hash plumbing.Hash) []byte {
	blob, err := s.graph.repo.BlobObject(hash)
	if err != nil {
		s.fault = errors.Join(s.fault, incomplete("file", hash, err))
		return nil
	}
	if blob.Size > maxBlob {
		return nil
	}
	reader, err := blob.Reader()
	if err != nil {
		s.fault = errors.Join(s.fault, incomplete("file", hash, err))
		return nil
	}
	defer reader.Close() //nolint:errcheck // only read from
	data, err := io.ReadAll(reader)
	if err != nil {
		s.fault = errors.Join(s.fault, incomplete("file", hash, err))
	}
	return data
}

// snapshot is the repository as of one commit, its environments at the top. It
// notes what it is asked for outside of a folder: what is read there depends on
// more than the folder itself.
type snapshot struct {
	store  *store
	root   plumbing.Hash
	within string // the folder
	noted  map[string]plumbing.Hash
}

func (s *store) at(c *commit) *snapshot { return &snapshot{store: s, root: c.tree} }

// find gives what stands at a path, symbolic links followed.
func (s *snapshot) find(name string) (object.TreeEntry, bool) {
	found, linked, ok := s.follow(path.Join(s.store.graph.prefix, name))
	if s.noted != nil && (linked || !strings.HasPrefix(name, s.within+"/")) {
		s.noted[name] = found.Hash
	}
	return found, ok
}

func (s *snapshot) follow(name string) (found object.TreeEntry, linked, ok bool) {
	root := object.TreeEntry{Hash: s.root, Mode: filemode.Dir}
	at, done, rest := root, []object.TreeEntry{root}, strings.Split(name, "/")
	for links := 0; len(rest) > 0; {
		next := rest[0]
		rest = rest[1:]
		switch next {
		case "", ".":
			continue
		case "..":
			if len(done) < 2 {
				return object.TreeEntry{}, linked, false
			}
			done = done[:len(done)-1]
			at = done[len(done)-1]
			continue
		}
		if at.Mode != filemode.Dir {
			return object.TreeEntry{}, linked, false
		}
		entry, ok := s.store.entry(at.Hash, next)
		if !ok {
			return object.TreeEntry{}, linked, false
		}
		if entry.Mode == filemode.Symlink {
			to := string(s.store.blob(entry.Hash))
			if links++; links > maxLinks || path.IsAbs(to) {
				return object.TreeEntry{}, true, false
			}
			linked, rest = true, append(strings.Split(to, "/"), rest...)
			continue
		}
		at, done = entry, append(done, entry)
	}
	return at, linked, true
}

// read gives a file's content and hash.
func (s *snapshot) read(name string) ([]byte, plumbing.Hash, bool) {
	entry, ok := s.find(name)
	if !ok || !entry.Mode.IsFile() {
		return nil, plumbing.ZeroHash, false
	}
	return s.store.blob(entry.Hash), entry.Hash, true
}

// names lists what stands in a folder.
func (s *snapshot) names(dir string) []string {
	found, ok := s.find(dir)
	if !ok || found.Mode != filemode.Dir {
		return nil
	}
	var names []string
	for _, one := range s.store.folder(found.Hash) {
		names = append(names, one.Name)
	}
	return names
}
