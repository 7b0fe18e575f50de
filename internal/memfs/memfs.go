// Package memfs provides a read-only file system in memory, and the open files and folders
// of such file systems. It does not follow symbolic links; readers resolve them with
// fs.ReadLink.
package memfs

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
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
		f.add(name, describe(name, file))
	}
	for _, entries := range f.folders {
		slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	}
	return f
}

// add adds an entry to its folder, and a new folder to its parent.
func (f *FS) add(name string, about fs.FileInfo) {
	dir := path.Dir(name)
	_, known := f.folders[dir]
	f.folders[dir] = append(f.folders[dir], fs.FileInfoToDirEntry(about))
	if !known {
		f.add(dir, folder(dir))
	}
}

// Open opens a file or folder.
func (f *FS) Open(name string) (fs.File, error) {
	about, err := f.find("open", name)
	switch {
	case err != nil:
		return nil, err
	case about.IsDir():
		return OpenFolder(about, func() ([]fs.DirEntry, error) { return f.folders[name], nil }), nil
	case f.files[name].Link != "":
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	return OpenFile(about, f.files[name].Data), nil
}

// Lstat describes a file, link or folder.
func (f *FS) Lstat(name string) (fs.FileInfo, error) { return f.find("lstat", name) }

// ReadLink returns the target of a link.
func (f *FS) ReadLink(name string) (string, error) {
	_, err := f.find("readlink", name)
	to := f.files[name].Link
	if err == nil && to == "" {
		err = &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	return to, err
}

func (f *FS) find(op, name string) (fs.FileInfo, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	if file, ok := f.files[name]; ok {
		return describe(name, file), nil
	}
	if _, ok := f.folders[name]; ok {
		return folder(name), nil
	}
	return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

func describe(name string, file File) fs.FileInfo {
	mode := fs.FileMode(0o444)
	if file.Link != "" {
		mode = fs.ModeSymlink | 0o777
	}
	return Info(path.Base(name), len(file.Data), mode, time.Time{})
}

func folder(name string) fs.FileInfo {
	return Info(path.Base(name), 0, fs.ModeDir|0o555, time.Time{})
}
