package memfs_test

import (
	"io/fs"
	"testing"
	"testing/fstest"

	"coin.internal/coin-agent/internal/memfs"
)

func TestFS(t *testing.T) {
	files := memfs.New(map[string]memfs.File{
		"a/b/c.txt": {Data: []byte("c")}, "a/d.txt": {Data: []byte("dd")}, "e": {Data: nil},
	})
	if err := fstest.TestFS(files, "a/b/c.txt", "a/d.txt", "e"); err != nil {
		t.Error(err)
	}
}

func TestLinks(t *testing.T) {
	files := memfs.New(map[string]memfs.File{"a/link": {Link: "../b"}, "b": {Data: []byte("b")}})
	if to, err := fs.ReadLink(files, "a/link"); err != nil || to != "../b" {
		t.Errorf("the link points to %q, %v", to, err)
	}
	if info, err := fs.Lstat(files, "a/link"); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("got %v, %v", info, err)
	}
	for _, name := range []string{"b", "a", "c"} {
		if to, err := fs.ReadLink(files, name); err == nil {
			t.Errorf("%s is read as a link to %q", name, to)
		}
	}
	if _, err := fs.ReadFile(files, "a/link"); err == nil {
		t.Error("a link is read as a file")
	}
}
