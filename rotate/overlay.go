package rotate

import (
	"io/fs"

	"coin.internal/coin-agent/internal/memfs"
)

// overlay is a file system with some files replaced or added: the repository after the
// rotation.
type overlay struct {
	fs.ReadLinkFS
	files map[string]memfs.File
}

// Open opens a file.
func (o overlay) Open(name string) (fs.File, error) { return o.of(name).Open(name) }

// Lstat describes a file without following a link.
func (o overlay) Lstat(name string) (fs.FileInfo, error) { return o.of(name).Lstat(name) }

// of gives the file system that has a file.
func (o overlay) of(name string) fs.ReadLinkFS {
	if _, ok := o.files[name]; ok {
		return memfs.New(o.files)
	}
	return o.ReadLinkFS
}
