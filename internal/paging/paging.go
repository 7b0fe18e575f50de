// Package paging splits the entries of a folder into pages for fs.ReadDirFile.
package paging

import (
	"io"
	"io/fs"
)

// Folder returns the entries of a folder in pages. The zero Folder is ready to use.
type Folder struct {
	read bool
	rest []fs.DirEntry
}

// Next returns the next n entries, or all remaining entries if n is not positive. It
// calls read until it succeeds once.
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
