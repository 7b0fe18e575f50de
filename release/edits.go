package release

import (
	"bytes"
	"errors"
	"io/fs"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/proposal"
)

// edits are the changes of files, in memory.
type edits struct {
	fsys     fs.ReadLinkFS
	after    map[string]string
	faults   []error
	answered map[Answer]bool
}

func newEdits(fsys fs.ReadLinkFS) *edits {
	return &edits{fsys: fsys, after: map[string]string{}, answered: map[Answer]bool{}}
}

// change changes a file, which may be new. Nodes that share a file change it one after the
// other.
func (e *edits) change(file string, by func(before string) (string, error)) {
	before, changed := e.after[file]
	if !changed {
		content, err := fs.ReadFile(e.fsys, file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			e.faults = append(e.faults, fault.New(fault.Place{File: file}, "", "read the file to change: %w", err))
			return
		}
		before = string(content)
	}
	after, err := by(before)
	if err != nil {
		e.faults = append(e.faults, err)
		return
	}
	e.after[file] = after
}

// files gives what has changed, sorted by path. A file that is reached through a symbolic link
// is refused: others share it.
func (e *edits) files() (all []proposal.File, err error) {
	faults := e.faults
	for _, name := range sorted(e.after) {
		before, err := fs.ReadFile(e.fsys, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			before = nil
		case err == nil && before == nil:
			before = []byte{}
		}
		if bytes.Equal(before, []byte(e.after[name])) {
			continue
		}
		if _, err := proposal.Read(e.fsys, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			faults = append(faults, err)
		}
		all = append(all, proposal.File{Path: name, Before: before, After: []byte(e.after[name])})
	}
	return all, errors.Join(faults...)
}
