package sync

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"testing/fstest" // the standard library's file system in memory

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"coin.internal/coin-agent/internal/dirlist"
)

var (
	errIsFolder  = errors.New("is a folder")
	errNotFolder = errors.New("not a folder")
)

// find resolves a path, and returns what read makes of it. It holds the lock meanwhile.
func find[T any](f *files, op, name string, last bool, read func(where string, at node) (T, error)) (T, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	where, at, err := f.resolve(op, name, last)
	if err != nil {
		var none T
		return none, err
	}
	return read(where, at)
}

// Open opens a file or folder. It follows links within the repository.
func (f *files) Open(name string) (fs.File, error) {
	return find(f, "open", name, true, func(where string, at node) (fs.File, error) {
		if at.mode == modeFolder {
			f.note(where, modeOnly(at))
			// Only a list that is read counts as an input.
			return dirlist.Open(f.info(name, at, nil), func() ([]fs.DirEntry, error) { return f.ReadDir(name) }), nil
		}
		content, err := f.file(where, at)
		if err != nil {
			return nil, err
		}
		return f.alone(name, at, content).Open(path.Base(name))
	})
}

// ReadFile returns a file's content.
func (f *files) ReadFile(name string) ([]byte, error) {
	return find(f, "read", name, true, func(where string, at node) ([]byte, error) {
		if at.mode == modeFolder {
			f.note(where, modeOnly(at))
			return nil, &fs.PathError{Op: "read", Path: name, Err: errIsFolder}
		}
		return f.file(where, at)
	})
}

// ReadDir lists a folder, sorted by name.
func (f *files) ReadDir(name string) ([]fs.DirEntry, error) {
	return find(f, "readdir", name, true, func(where string, at node) ([]fs.DirEntry, error) {
		if at.mode != modeFolder {
			f.note(where, at.input())
			return nil, &fs.PathError{Op: "readdir", Path: name, Err: errNotFolder}
		}
		listed, err := f.listing(at)
		if err != nil {
			f.note(where, at.input())
			return nil, err
		}
		f.note(where, listed)
		entries := f.trees[at.hash]
		list := make([]fs.DirEntry, 0, len(entries))
		for _, child := range slices.Sorted(maps.Keys(entries)) {
			list = append(list, entry{files: f, at: entries[child], dir: where, name: child})
		}
		return list, nil
	})
}

// Stat describes a file or folder, and follows links. It may request the file from the
// remote to get its size.
func (f *files) Stat(name string) (fs.FileInfo, error) {
	return find(f, "stat", name, true, func(where string, at node) (fs.FileInfo, error) {
		return f.describe(name, where, at)
	})
}

// Lstat describes a file, folder or link. It does not follow the link at name.
func (f *files) Lstat(name string) (fs.FileInfo, error) {
	return find(f, "lstat", name, false, func(where string, at node) (fs.FileInfo, error) {
		return f.describe(name, where, at)
	})
}

// ReadLink returns the target of a link.
func (f *files) ReadLink(name string) (string, error) {
	return find(f, "readlink", name, false, func(where string, at node) (string, error) {
		f.note(where, at.input())
		if at.mode != modeLink {
			return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
		}
		target, err := f.blob(where, at.hash)
		return string(target), err
	})
}

// describe describes a node. It does not read the target of a link.
func (f *files) describe(name, where string, at node) (fs.FileInfo, error) {
	if at.mode == modeFolder {
		f.note(where, modeOnly(at))
		return f.info(name, at, nil), nil
	}
	if at.mode == modeLink || at.mode == modeSubmodule {
		return f.info(name, at, nil), nil
	}
	content, err := f.file(where, at)
	if err != nil {
		return nil, err
	}
	return f.info(name, at, content), nil
}

// alone returns a file system that has only this file, under its base name.
func (f *files) alone(name string, at node, content []byte) fstest.MapFS {
	return fstest.MapFS{path.Base(name): {Data: content, Mode: fileMode(at.mode), ModTime: f.when}}
}

func (f *files) info(name string, at node, content []byte) fs.FileInfo {
	info, _ := f.alone(name, at, content).Lstat(path.Base(name)) // it exists
	return info
}

func fileMode(mode filemode.FileMode) fs.FileMode {
	switch mode { //nolint:exhaustive // other modes are regular files
	case modeFolder:
		return fs.ModeDir | 0o755
	case modeLink:
		return fs.ModeSymlink | 0o777
	case modeSubmodule:
		return fs.ModeIrregular
	case filemode.Executable:
		return 0o755
	default:
		return 0o644
	}
}

// entry is an entry of a folder. It does not follow links.
type entry struct {
	files     *files
	at        node
	dir, name string
}

func (e entry) Name() string      { return e.name }
func (e entry) IsDir() bool       { return e.at.mode == modeFolder }
func (e entry) Type() fs.FileMode { return fileMode(e.at.mode).Type() }
func (e entry) String() string    { return fs.FormatDirEntry(e) }

// Info describes the entry. It may request the content of a file from the remote.
func (e entry) Info() (fs.FileInfo, error) {
	e.files.mu.Lock()
	defer e.files.mu.Unlock()
	return e.files.describe(e.name, path.Join(e.dir, e.name), e.at)
}
