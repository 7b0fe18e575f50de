package compose_test

import (
	"bytes"
	"io/fs"
	"os"
	"testing"
	"testing/fstest"

	"coin.internal/coin-agent/manifests"
)

func TestEveryExampleNodeRenders(t *testing.T) {
	fsys := os.DirFS("../examples/coin-gitops")
	environments, err := manifests.Environments(fsys)
	if err != nil {
		t.Fatal(err)
	}
	nodes := 0
	for _, environment := range environments {
		names, err := manifests.Nodes(fsys, environment)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			nodes++
			t.Run(environment+"/"+name, func(t *testing.T) {
				stack, err := render(t, fsys, environment, name)
				if err != nil {
					t.Fatal(err)
				}
				if len(stack.Services) == 0 || len(stack.Secrets) == 0 {
					t.Errorf("%d services and %d secrets: want some of each", len(stack.Services), len(stack.Secrets))
				}
			})
		}
	}
	if nodes != 11 {
		t.Errorf("%d nodes, want 11: two, two, three and four", nodes)
	}
}

// TestSameBytes renders twice. The second time, the files were added in another order.
func TestSameBytes(t *testing.T) {
	disk := os.DirFS("../examples/coin-gitops")
	var paths []string
	err := fs.WalkDir(disk, ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	shuffled := fstest.MapFS{}
	for i := range paths {
		path := paths[len(paths)-1-i]
		data, err := fs.ReadFile(disk, path)
		if err != nil {
			t.Fatal(err)
		}
		shuffled[path] = &fstest.MapFile{Data: data}
	}
	first := specs(t, disk)
	for range 5 {
		if second := specs(t, shuffled); !bytes.Equal(first, second) {
			t.Fatal("the same files give different bytes")
		}
	}
}

func specs(t *testing.T, fsys fs.FS) []byte {
	t.Helper()
	stack, err := render(t, fsys, "sandbox", "node3")
	if err != nil {
		t.Fatal(err)
	}
	data, err := stack.Specs()
	if err != nil {
		t.Fatal(err)
	}
	return data
}
