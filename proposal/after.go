package proposal

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing/fstest" // the standard library's file system in memory
)

// After gives the files of a folder as the change leaves them.
func After(files fs.ReadLinkFS, changed []File) fs.ReadLinkFS {
	after := overlay{files, fstest.MapFS{}, map[string]bool{}}
	for _, file := range changed {
		if file.After == nil {
			after.removed[file.Path] = true
			continue
		}
		after.changed[file.Path] = &fstest.MapFile{Data: file.After, Mode: 0o644}
	}
	return after
}

// overlay is a file system with some files replaced, added or removed.
type overlay struct {
	fs.ReadLinkFS
	changed fstest.MapFS
	removed map[string]bool
}

// Open opens a file.
func (o overlay) Open(name string) (fs.File, error) { return o.of(name).Open(name) }

// Lstat describes a file without following a link.
func (o overlay) Lstat(name string) (fs.FileInfo, error) { return o.of(name).Lstat(name) }

// ReadDir lists a folder, with the files that the change adds.
func (o overlay) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(o.ReadLinkFS, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	added, addedErr := o.changed.ReadDir(name)
	if err != nil && addedErr != nil {
		return nil, err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return o.removed[path.Join(name, e.Name())] })
	for _, one := range added {
		if !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == one.Name() }) {
			entries = append(entries, one)
		}
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// of gives the file system that has a file.
func (o overlay) of(name string) fs.ReadLinkFS {
	if _, changed := o.changed[name]; changed || o.removed[name] {
		return o.changed
	}
	if _, err := o.ReadLinkFS.Lstat(name); err != nil && o.adds(name) { // a new folder
		return o.changed
	}
	return o.ReadLinkFS
}

func (o overlay) adds(folder string) bool {
	for name := range o.changed {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if dir == folder {
				return true
			}
		}
	}
	return false
}
