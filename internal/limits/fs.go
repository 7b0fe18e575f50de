package limits

import "io/fs"

// On gives a tree of files that carries its limits, for Of. It follows no link itself.
func On(fsys fs.FS, limits Limits) fs.FS { return carrier{fsys, limits} }

// Of gives the limits that a tree of files carries, or the default ones.
func Of(fsys fs.FS) Limits {
	if carries, ok := fsys.(interface{ Limits() Limits }); ok {
		return carries.Limits().OrDefault()
	}
	return Default()
}

type carrier struct {
	fs.FS
	limits Limits
}

func (c carrier) Limits() Limits                             { return c.limits }
func (c carrier) ReadFile(name string) ([]byte, error)       { return fs.ReadFile(c.FS, name) }
func (c carrier) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(c.FS, name) }
func (c carrier) Stat(name string) (fs.FileInfo, error)      { return fs.Stat(c.FS, name) }
func (c carrier) Lstat(name string) (fs.FileInfo, error)     { return fs.Lstat(c.FS, name) }
func (c carrier) ReadLink(name string) (string, error)       { return fs.ReadLink(c.FS, name) }
