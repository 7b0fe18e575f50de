package rotate

import (
	"bytes"
	"io/fs"
	"path"
	"time"
)

// overlay is a file system with some files replaced or added, as the repository
// will be.
type overlay struct {
	under fs.ReadLinkFS
	files map[string][]byte
}

// Open opens a file.
func (o overlay) Open(name string) (fs.File, error) {
	if content, ok := o.files[name]; ok {
		return &file{info{path.Base(name), int64(len(content))}, bytes.NewReader(content)}, nil
	}
	return o.under.Open(name)
}

// Lstat tells of a file without following a link.
func (o overlay) Lstat(name string) (fs.FileInfo, error) {
	if content, ok := o.files[name]; ok {
		return info{path.Base(name), int64(len(content))}, nil
	}
	return o.under.Lstat(name)
}

// ReadLink gives where a link leads.
func (o overlay) ReadLink(name string) (string, error) { return o.under.ReadLink(name) }

type file struct {
	info info
	*bytes.Reader
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *file) Close() error               { return nil }

type info struct {
	name string
	size int64
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return 0o444 }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return false }
func (i info) Sys() any           { return nil }
