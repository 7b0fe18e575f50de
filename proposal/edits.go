package proposal

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"

	"coin.internal/coin-agent/internal/fault"
)

// Edits are changes of files, in memory. Nodes that share a file change it one after the other.
type Edits struct {
	fsys  fs.ReadLinkFS
	files map[string]*File
}

// NewEdits begins without a change.
func NewEdits(fsys fs.ReadLinkFS) *Edits { return &Edits{fsys, map[string]*File{}} }

// Has reports whether Change was called for a file.
func (e *Edits) Has(name string) bool { return e.files[name] != nil }

// Change changes a file. Its content before is nil if it does not exist.
func (e *Edits) Change(name string, by func(before []byte) ([]byte, error)) error {
	file := e.files[name]
	if file == nil {
		before, err := fs.ReadFile(e.fsys, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			before = nil
		case err != nil:
			return fault.New(fault.Place{File: name}, "", "read the file to change: %w", err)
		case before == nil:
			before = []byte{}
		}
		file = &File{name, before, before}
		e.files[name] = file
	}
	after, err := by(file.After)
	if err == nil {
		file.After = after
	}
	return err
}

// Files gives what has changed, sorted by path. It refuses a file that is reached through a symbolic
// link: others share it.
func (e *Edits) Files() (all []File, err error) {
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(e.files)) {
		file := *e.files[name]
		if bytes.Equal(file.Before, file.After) {
			continue
		}
		faults = append(faults, refuseLink(e.fsys, name))
		all = append(all, file)
	}
	return all, errors.Join(faults...)
}

// refuseLink refuses a path that leads through a symbolic link.
func refuseLink(files fs.ReadLinkFS, name string) error {
	for dir := name; dir != "."; dir = path.Dir(dir) {
		info, err := files.Lstat(dir)
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return fault.New(fault.Place{File: dir}, "replace the link by a file, or make the change by hand: nodes that share a file change together",
				"%s is a symbolic link, and the command does not write through it", dir)
		}
	}
	return nil
}
