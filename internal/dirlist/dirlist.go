// Package dirlist opens the folders of file systems that list their entries themselves:
// from a function that lists the entries it makes an open folder, which lists them in
// pages as fs.ReadDirFile requires.
package dirlist

import (
	"errors"
	"io"
	"io/fs"
	"slices"
)

// Open returns an open folder. It calls list at the first ReadDir, and again after an
// error.
func Open(about fs.FileInfo, list func() ([]fs.DirEntry, error)) fs.ReadDirFile {
	return &open{about: about, list: list}
}

type open struct {
	about fs.FileInfo
	list  func() ([]fs.DirEntry, error)
	read  bool // list has succeeded
	rest  []fs.DirEntry
}

var errIsFolder = errors.New("is a folder")

func (f *open) Stat() (fs.FileInfo, error) { return f.about, nil }
func (f *open) Close() error               { return nil }

func (f *open) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.about.Name(), Err: errIsFolder}
}

// ReadDir returns the next n entries, or all remaining entries if n is not positive.
func (f *open) ReadDir(n int) ([]fs.DirEntry, error) {
	if !f.read {
		all, err := f.list()
		if err != nil {
			return nil, err
		}
		f.rest, f.read = all, true
	}
	page := f.rest
	if n > 0 {
		page = slices.Clip(page[:min(n, len(page))])
		if len(page) == 0 {
			return nil, io.EOF
		}
	}
	f.rest = f.rest[len(page):]
	return page, nil
}
