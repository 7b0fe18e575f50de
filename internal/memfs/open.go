package memfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"time"
)

// Info describes a file, link or folder.
func Info(name string, size int, mode fs.FileMode, when time.Time) fs.FileInfo {
	return info{name: name, size: int64(size), mode: mode, when: when}
}

type info struct {
	name string
	size int64
	mode fs.FileMode
	when time.Time
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return i.when }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }

// OpenFile returns an open file with a content.
func OpenFile(about fs.FileInfo, content []byte) fs.File {
	return &openFile{*bytes.NewReader(content), about}
}

type openFile struct {
	bytes.Reader
	about fs.FileInfo
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.about, nil }
func (f *openFile) Close() error               { return nil }

// OpenFolder returns an open folder. It calls list at the first ReadDir, and again after
// an error.
func OpenFolder(about fs.FileInfo, list func() ([]fs.DirEntry, error)) fs.ReadDirFile {
	return &openFolder{about: about, list: list}
}

type openFolder struct {
	about fs.FileInfo
	list  func() ([]fs.DirEntry, error)
	pages Pages
}

var errIsFolder = errors.New("is a folder")

func (f *openFolder) Stat() (fs.FileInfo, error) { return f.about, nil }
func (f *openFolder) Close() error               { return nil }

func (f *openFolder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.about.Name(), Err: errIsFolder}
}

func (f *openFolder) ReadDir(n int) ([]fs.DirEntry, error) { return f.pages.Next(n, f.list) }

// Pages splits the entries of a folder into pages for fs.ReadDirFile. The zero Pages is
// ready to use.
type Pages struct {
	read bool
	rest []fs.DirEntry
}

// Next returns the next n entries, or all remaining entries if n is not positive. It
// calls read until it succeeds once.
func (p *Pages) Next(n int, read func() ([]fs.DirEntry, error)) ([]fs.DirEntry, error) {
	if !p.read {
		all, err := read()
		if err != nil {
			return nil, err
		}
		p.rest, p.read = all, true
	}
	if n > 0 && len(p.rest) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(p.rest) {
		n = len(p.rest)
	}
	page := p.rest[:n:n]
	p.rest = p.rest[n:]
	return page, nil
}
