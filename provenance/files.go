package provenance

import (
	"bytes"
	"io/fs"
	"path"
	"time"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"coin.internal/coin-agent/internal/paging"
)

// Open makes a snapshot the fs.FS that config.yml is read from.
func (s *snapshot) Open(name string) (fs.File, error) {
	found, ok := s.find(name)
	switch {
	case !ok:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case found.Mode == filemode.Dir:
		var entries []fs.DirEntry
		for _, one := range s.store.folder(found.Hash) {
			entries = append(entries, fs.FileInfoToDirEntry(info{name: one.Name, folder: one.Mode == filemode.Dir}))
		}
		return &file{info: info{name: path.Base(name), folder: true}, Reader: bytes.NewReader(nil), entries: entries}, nil
	}
	data := s.store.blob(found.Hash)
	return &file{info: info{name: path.Base(name), size: int64(len(data))}, Reader: bytes.NewReader(data)}, nil
}

// file is an open file, or an open folder.
type file struct {
	info info
	*bytes.Reader
	entries []fs.DirEntry
	pages   paging.Folder
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *file) Close() error               { return nil }

// ReadDir lists the folder.
func (f *file) ReadDir(n int) ([]fs.DirEntry, error) {
	return f.pages.Next(n, func() ([]fs.DirEntry, error) { return f.entries, nil })
}

type info struct {
	name   string
	size   int64
	folder bool
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.folder }
func (i info) Sys() any           { return nil }

// Mode is that of a file, or of a folder.
func (i info) Mode() fs.FileMode {
	if i.folder {
		return fs.ModeDir | 0o555
	}
	return 0o444
}
