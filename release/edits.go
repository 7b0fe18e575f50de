package release

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing/fstest" // the standard library's file system in memory

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/proposal"
)

// edits are the changes of files, in memory.
type edits struct {
	fsys     fs.FS
	after    map[string]string
	faults   []error
	answered map[Answer]bool
}

func newEdits(fsys fs.FS) *edits {
	return &edits{fsys: fsys, after: map[string]string{}, answered: map[Answer]bool{}}
}

// change changes a file, which may be new. Nodes that share a file change it one after the
// other.
func (e *edits) change(file string, by func(before string) (string, error)) {
	before, changed := e.after[file]
	if !changed {
		content, err := fs.ReadFile(e.fsys, file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			e.faults = append(e.faults, fault.New(fault.Place{File: file}, "", "read the file to change: %w", err))
			return
		}
		before = string(content)
	}
	after, err := by(before)
	if err != nil {
		e.faults = append(e.faults, err)
		return
	}
	e.after[file] = after
}

// files gives what has changed, sorted by path. A file that is reached through a symbolic link
// is refused: others share it.
func (e *edits) files() (all []proposal.File, err error) {
	faults := e.faults
	for _, name := range sorted(e.after) {
		before, err := fs.ReadFile(e.fsys, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			before = nil
		case err == nil && before == nil:
			before = []byte{}
		}
		if bytes.Equal(before, []byte(e.after[name])) {
			continue
		}
		faults = append(faults, e.plain(name))
		all = append(all, proposal.File{Path: name, Before: before, After: []byte(e.after[name])})
	}
	return all, errors.Join(faults...)
}

func (e *edits) plain(name string) error {
	for dir := name; dir != "."; dir = path.Dir(dir) {
		info, err := fs.Lstat(e.fsys, dir)
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return fault.New(fault.Place{File: dir}, "replace the link by a file", "%s is a symbolic link, and the command does not write through it", dir)
		}
	}
	return nil
}

// over gives the files with the changes.
func (e *edits) over(fsys fs.FS) fs.FS {
	changed := fstest.MapFS{}
	for name, content := range e.after {
		changed[name] = &fstest.MapFile{Data: []byte(content), Mode: 0o644}
	}
	return edited{fsys, changed}
}

// edited is a file system with some files replaced or added.
type edited struct {
	fs.FS
	files fstest.MapFS
}

// Open opens a file. A folder lists what is added to it by ReadDir.
func (o edited) Open(name string) (fs.File, error) { return o.of(name).Open(name) }

// Lstat describes a file without following a link.
func (o edited) Lstat(name string) (fs.FileInfo, error) { return fs.Lstat(o.of(name), name) }

// ReadLink gives the target of a link.
func (o edited) ReadLink(name string) (string, error) { return fs.ReadLink(o.FS, name) }

// of gives the file system that has a file or folder.
func (o edited) of(name string) fs.FS {
	if _, changed := o.files[name]; changed {
		return o.files
	}
	if _, err := fs.Lstat(o.FS, name); errors.Is(err, fs.ErrNotExist) {
		return o.files // a folder for an added file
	}
	return o.FS
}

// ReadDir lists a folder with the files and folders that are added to it.
func (o edited) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(o.FS, name)
	added, addedErr := o.files.ReadDir(name)
	if err != nil && addedErr != nil {
		return nil, err
	}
	for _, entry := range added {
		if !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == entry.Name() }) {
			entries = append(entries, entry)
		}
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}
