package provenance

import (
	"io/fs"
	"path"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"coin.internal/coin-agent/internal/fault"
	gitsync "coin.internal/coin-agent/sync"
)

// objects are git's objects. It keeps the fault of the first one that cannot be read.
type objects struct {
	storer.EncodedObjectStorer
	fault error
}

// EncodedObject reads an object.
func (o *objects) EncodedObject(kind plumbing.ObjectType, hash plumbing.Hash) (plumbing.EncodedObject, error) {
	found, err := o.EncodedObjectStorer.EncodedObject(kind, hash)
	return found, o.keep(kind, hash, err)
}

// EncodedObjectSize gives the size of a blob, which is asked before its content.
func (o *objects) EncodedObjectSize(hash plumbing.Hash) (int64, error) {
	size, err := o.EncodedObjectStorer.EncodedObjectSize(hash)
	return size, o.keep(plumbing.BlobObject, hash, err)
}

func (o *objects) keep(kind plumbing.ObjectType, hash plumbing.Hash, err error) error {
	if err != nil && o.fault == nil {
		o.fault = fault.New(fault.Place{}, "make a complete clone, without --filter: git clone URL", "read git's %s %s in this clone: %w", kind, hash, err)
	}
	return err
}

// files is the repository as of one commit, with environments/ at its top. Files of the
// past need not be valid: what cannot be read counts as absent.
type files struct {
	history *history
	fs.FS
	checkout *gitsync.Checkout
}

// at gives the files of a commit.
func (h *history) at(c *commit) (*files, error) {
	checkout, err := gitsync.Read(h.objects, gitsync.Revision{Commit: c.info.Hash})
	if err != nil {
		return nil, err
	}
	top, err := fs.Sub(checkout.FS, path.Join(".", h.tree.Prefix))
	return &files{history: h, FS: top, checkout: checkout}, err
}

// read gives the content of a file, or false.
func (f *files) read(name string) ([]byte, bool) {
	content, err := fs.ReadFile(f.FS, name)
	return content, err == nil
}

// has reports whether there is such a file or folder.
func (f *files) has(name string) bool {
	_, err := fs.Stat(f.FS, name)
	return err == nil
}

// list gives the names in a folder, sorted.
func (f *files) list(dir string) []string {
	var names []string
	entries, _ := fs.ReadDir(f.FS, dir)
	for _, one := range entries {
		names = append(names, one.Name())
	}
	return names
}
