// Package paging gives out a folder in pages, as fs.ReadDirFile asks for it.
package paging

import (
	"io"
	"io/fs"
)

// Folder gives out a folder's entries; the zero Folder has not read them yet.
type Folder struct {
	read bool
	rest []fs.DirEntry
}

// Next gives the next n entries, or all that are left when n is not positive.
// The first call reads them; a read that fails is tried again by the next call.
func (f *Folder) Next(n int, read func() ([]fs.DirEntry, error)) ([]fs.DirEntry, error) {
	if !f.read {
		all, err := read()
		if err != nil {
			return nil, err
		}
		f.rest, f.read = all, true
	}
	if n > 0 && len(f.rest) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(f.rest) {
		n = len(f.rest)
	}
	page := f.rest[:n:n]
	f.rest = f.rest[n:]
	return page, nil
}
