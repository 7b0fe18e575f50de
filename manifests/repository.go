package manifests

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing/fstest"

	"coin.internal/coin-agent/internal/bounded"
	"coin.internal/coin-agent/internal/dirlist"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
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
	dir     string       // folder of the derived files, without links
	derived fstest.MapFS // the derived files by base name, or nil
}

// Limits gives the limits for what is read of the repository.
func (r *repository) Limits() limits.Limits { return limits.Of(r.under) }

// ReadFile reads a file of the repository that is not larger than a file may be.
func (r *repository) ReadFile(name string) ([]byte, error) {
	file, err := r.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read from
	most := r.Limits().FileBytes
	if path.Dir(name) == r.dir && r.derived[path.Base(name)] != nil {
		most = r.Limits().StackBytes
	}
	content, err := bounded.ReadAll(file, most)
	if errors.Is(err, bounded.ErrTooLong) {
		return nil, limits.Over(fault.Place{File: name}, "file_bytes", "the file has", most)
	}
	return content, err
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
	if resolved != r.dir || r.derived == nil {
		return r.under.Open(resolved)
	}
	info, err := fs.Stat(r.under, resolved)
	if err != nil {
		return nil, err
	}
	return dirlist.Open(info, r.list), nil
}

func (r *repository) isDerived(name string) bool {
	return path.Dir(name) == r.dir && r.derived[path.Base(name)] != nil
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
			return "", fault.WithoutPath(err)
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			done = next
			continue
		}
		to, err := under.ReadLink(next)
		if err != nil {
			return "", fault.WithoutPath(err)
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

// list lists the own entries of the folder with the derived files, and these, by name.
func (r *repository) list() ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(r.under, r.dir)
	if err != nil {
		return nil, err
	}
	derived, err := r.derived.ReadDir(".")
	if err != nil {
		return nil, err
	}
	entries = append(entries, derived...)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}
