package provenance

import (
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/secrets"
)

const (
	maxBlob  = 4 << 20 // larger files are not settings, and count as empty
	maxLinks = 40      // symbolic links that one path may lead through
)

// reader reads git's objects, and keeps what it has read.
type reader struct {
	*history
	keys    *secrets.Keyring // nil for none
	run     []byte           // the key of the values' prints
	folders map[plumbing.Hash][]object.TreeEntry
	yaml    map[plumbing.Hash]any
	secrets map[string]*secretFile // by path and hash
	fault   error                  // of the objects that cannot be read
}

// wipe forgets the values.
func (r *reader) wipe() {
	clear(r.run)
	for _, one := range r.secrets {
		one.set.Wipe()
	}
}

// folder gives the entries of a folder.
func (r *reader) folder(hash plumbing.Hash) []object.TreeEntry {
	entries, known := r.folders[hash]
	if !known {
		tree, err := r.Repo.TreeObject(hash)
		if err != nil {
			r.fault = errors.Join(r.fault, unreadable("folder", hash, err))
			return nil
		}
		entries = tree.Entries
		r.folders[hash] = entries
	}
	return entries
}

func (r *reader) blob(hash plumbing.Hash) []byte {
	text := ""
	blob, err := r.Repo.BlobObject(hash)
	if err == nil && blob.Size <= maxBlob {
		text, err = object.NewFile("", filemode.Regular, blob).Contents()
	}
	if err != nil {
		r.fault = errors.Join(r.fault, unreadable("file", hash, err))
	}
	return []byte(text)
}

// files is the repository as of one commit, with environments/ at its top.
type files struct {
	*reader
	root  plumbing.Hash
	noted map[string]plumbing.Hash // what was asked for, by path
}

// at gives the files of a commit.
func (r *reader) at(c *commit) *files {
	return &files{reader: r, root: c.tree, noted: map[string]plumbing.Hash{}}
}

// find gives the file or folder at a path, after symbolic links.
func (f *files) find(name string) (object.TreeEntry, bool) {
	found := f.follow(path.Join(f.Prefix, name), 0)
	f.noted[name] = found.Hash
	return found, !found.Hash.IsZero()
}

func (f *files) follow(name string, links int) object.TreeEntry {
	at := object.TreeEntry{Hash: f.root, Mode: filemode.Dir}
	parts := strings.Split(name, "/")
	for i, part := range parts {
		var entries []object.TreeEntry
		if at.Mode == filemode.Dir {
			entries = f.folder(at.Hash)
		}
		next := slices.IndexFunc(entries, func(e object.TreeEntry) bool { return e.Name == part })
		if next < 0 {
			return object.TreeEntry{}
		}
		if at = entries[next]; at.Mode == filemode.Symlink {
			to := string(f.blob(at.Hash))
			if path.IsAbs(to) || links == maxLinks {
				return object.TreeEntry{}
			}
			return f.follow(path.Join(path.Join(parts[:i]...), to, path.Join(parts[i+1:]...)), links+1)
		}
	}
	return at
}

// equals reports whether all that other was asked for is the same in these files.
func (f *files) equals(other *files) bool {
	for name, hash := range other.noted {
		if found, _ := f.find(name); found.Hash != hash {
			return false
		}
	}
	return true
}

// read gives the content of a file; nil where there is none.
func (f *files) read(name string) []byte {
	if found, ok := f.find(name); ok && found.Mode.IsFile() {
		return f.blob(found.Hash)
	}
	return nil
}

// list gives the names in a folder, sorted.
func (f *files) list(dir string) []string {
	var names []string
	if found, ok := f.find(dir); ok && found.Mode == filemode.Dir {
		for _, one := range f.folder(found.Hash) {
			names = append(names, one.Name)
		}
	}
	slices.Sort(names)
	return names
}

// decode gives what T holds of a YAML file. Files of the past need not be valid: what
// does not fit is left out.
func decode[T any](f *files, name string) *T {
	found, _ := f.find(name)
	if known, ok := f.yaml[found.Hash].(*T); ok {
		return known
	}
	made := new(T)
	_ = yaml.Unmarshal(f.read(name), made)
	f.yaml[found.Hash] = made
	return made
}
