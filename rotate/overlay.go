package rotate

import (
	"io/fs"
	"testing/fstest" // the standard library's file system in memory
)

// overlay is a file system with some files replaced or added: the repository after the
// rotation.
type overlay struct {
	fs.ReadLinkFS
	files fstest.MapFS
}

// Open opens a file.
func (o overlay) Open(name string) (fs.File, error) { return o.of(name).Open(name) }

// Lstat describes a file without following a link.
func (o overlay) Lstat(name string) (fs.FileInfo, error) { return o.of(name).Lstat(name) }

// of gives the file system that has a file.
func (o overlay) of(name string) fs.ReadLinkFS {
	if _, ok := o.files[name]; ok {
		return o.files
	}
	return o.ReadLinkFS
}
