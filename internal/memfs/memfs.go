// Package memfs provides a read-only file system in memory. It does not follow
// symbolic links; readers resolve them with fs.ReadLink.
package memfs

import (
	"bytes"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/internal/paging"
)

// File is a symbolic link if Link is set, else a regular file.
type File struct {
	Data []byte
	Link string
}

// FS is a file system in memory; see New.
type FS struct {
	files   map[string]File
	folders map[string][]fs.DirEntry
}

// New returns a file system of files by path. It adds the folders of the files.
func New(files map[string]File) *FS {
	f := &FS{files: files, folders: map[string][]fs.DirEntry{".": nil}}
	for name, file := range files {
		f.add(name, info{name: path.Base(name), file: file})
	}
	for _, entries := range f.folders {
		slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	}
	return f
}

// add adds an entry to its folder, and a new folder to its parent.
func (f *FS) add(name string, entry info) {
	dir := path.Dir(name)
	_, known := f.folders[dir]
	f.folders[dir] = append(f.folders[dir], fs.FileInfoToDirEntry(entry))
	if !known {
		f.add(dir, info{name: path.Base(dir), folder: true})
	}
}

// Open opens a file or folder.
func (f *FS) Open(name string) (fs.File, error) {
	at, err := f.find("open", name)
	switch {
	case err != nil:
		return nil, err
	case at.folder:
		return &openFolder{info: at, entries: f.folders[name]}, nil
	case at.file.Link != "":
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	return &openFile{info: at, Reader: bytes.NewReader(at.file.Data)}, nil
}

// Lstat describes a file, link or folder.
func (f *FS) Lstat(name string) (fs.FileInfo, error) {
	at, err := f.find("lstat", name)
	if err != nil {
		return nil, err
	}
	return at, nil
}

// ReadLink returns the target of a link.
func (f *FS) ReadLink(name string) (string, error) {
	at, err := f.find("readlink", name)
	if err == nil && at.file.Link == "" {
		err = &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	return at.file.Link, err
}

func (f *FS) find(op, name string) (info, error) {
	if !fs.ValidPath(name) {
		return info{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	if file, ok := f.files[name]; ok {
		return info{name: path.Base(name), file: file}, nil
	}
	if _, ok := f.folders[name]; ok {
		return info{name: path.Base(name), folder: true}, nil
	}
	return info{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// info describes a file, a link or a folder.
type info struct {
	name   string
	file   File
	folder bool
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return int64(len(i.file.Data)) }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.folder }
func (i info) Sys() any           { return nil }

func (i info) Mode() fs.FileMode {
	switch {
	case i.folder:
		return fs.ModeDir | 0o555
	case i.file.Link != "":
		return fs.ModeSymlink | 0o777
	}
	return 0o444
}

type openFile struct {
	info
	*bytes.Reader
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }
func (f *openFile) Size() int64                { return f.info.Size() }

type openFolder struct {
	info
	entries []fs.DirEntry
	pages   paging.Folder
}

func (f *openFolder) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFolder) Close() error               { return nil }

func (f *openFolder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.name, Err: fs.ErrInvalid}
}

// ReadDir lists the folder, sorted by name.
func (f *openFolder) ReadDir(n int) ([]fs.DirEntry, error) {
	return f.pages.Next(n, func() ([]fs.DirEntry, error) { return f.entries, nil })
}
