package manifests

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/memfs"
)

var errLeaves = errors.New("the path leaves the repository")

// maxLinks is the maximum number of symbolic links in one path.
const maxLinks = 40

// Resolve joins the path name, which is set at place, with the folder that it is
// relative to. It refuses a path that leaves the repository. The result is a path
// for Node.FS, which refuses symbolic links that leave the repository.
func Resolve(dir, name string, place fault.Place) (string, error) {
	inside := "name a file in the repository, relative to " + dir
	switch {
	case name == "":
		return "", fault.New(place, inside, "a file's path is empty")
	case path.IsAbs(name):
		return "", fault.New(place, inside, "path %q is absolute", name)
	case name == "~" || strings.HasPrefix(name, "~/"):
		return "", fault.New(place, inside, "path %q is in a home directory", name)
	}
	joined := path.Join(dir, name)
	if !fs.ValidPath(joined) || strings.ContainsRune(joined, 0) {
		return "", fault.New(place, inside, "path %q leaves the repository", name)
	}
	return joined, nil
}

// repository refuses paths that leave a file system, and adds the derived files to
// one folder. It follows symbolic links itself, because os.DirFS follows them out of
// the folder.
type repository struct {
	under   fs.FS
	dir     string    // folder of the derived files, without links
	derived *memfs.FS // the derived files by base name, or nil
}

// Open opens a file of the repository.
func (r *repository) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	resolved, err := r.follow(name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	if r.isDerived(resolved) {
		return r.derived.Open(path.Base(resolved))
	}
	file, err := r.under.Open(resolved)
	if err != nil || resolved != r.dir || r.derived == nil {
		return file, err
	}
	return &derivedDir{File: file, repository: r}, nil
}

func (r *repository) isDerived(name string) bool {
	if r.derived == nil || path.Dir(name) != r.dir {
		return false
	}
	_, err := r.derived.Lstat(path.Base(name))
	return err == nil
}

// follow resolves all symbolic links in a path. It returns the path of a file system
// without links unchanged.
func (r *repository) follow(name string) (string, error) {
	under, ok := r.under.(fs.ReadLinkFS)
	if !ok {
		return name, nil
	}
	done, rest, links := ".", strings.Split(name, "/"), 0
	for len(rest) > 0 {
		next := path.Join(done, rest[0])
		if next == ".." {
			return "", errLeaves
		}
		rest = rest[1:]
		if next == "." || r.isDerived(next) {
			done = next
			continue
		}
		info, err := under.Lstat(next)
		if err != nil {
			return "", cause(err)
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			done = next
			continue
		}
		to, err := under.ReadLink(next)
		if err != nil {
			return "", cause(err)
		}
		if links++; path.IsAbs(to) {
			return "", errLeaves
		} else if links > maxLinks {
			return "", errors.New("too many symbolic links")
		}
		done, rest = path.Dir(next), append(strings.Split(to, "/"), rest...)
	}
	return done, nil
}

// cause returns the error in a *fs.PathError, which has a different path.
func cause(err error) error {
	var of *fs.PathError
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

// derivedDir is the open folder with the derived files.
type derivedDir struct {
	fs.File
	repository *repository
	pages      memfs.Pages
}

// ReadDir lists the folder's own entries and the derived files, by name.
func (d *derivedDir) ReadDir(n int) ([]fs.DirEntry, error) {
	return d.pages.Next(n, d.repository.list)
}

func (r *repository) list() ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(r.under, r.dir)
	if err != nil {
		return nil, err
	}
	derived, err := fs.ReadDir(r.derived, ".")
	if err != nil {
		return nil, err
	}
	entries = append(entries, derived...)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}
