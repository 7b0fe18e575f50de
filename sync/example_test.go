package sync_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	gitsync "coin.internal/coin-agent/sync"
)

func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	push(dir, "node.env", "TAG=2025.12.1\n")

	repo, err := gitsync.Open(gitsync.Remote{URL: dir})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	follow := func() *gitsync.Checkout {
		rev, err := repo.Select(ctx, gitsync.Rule{Branch: "master"})
		if err != nil {
			panic(err)
		}
		checkout, err := repo.Fetch(ctx, rev, []string{"node.env"})
		if err != nil {
			panic(err)
		}
		return checkout
	}

	first := follow()
	settings, err := fs.ReadFile(first.FS, "node.env")
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s: %s", first.Revision.Subject, settings)

	push(dir, "README.md", "Not for the node.\n")
	fmt.Println("nothing to do:", follow().Same(first.Inputs()))
	push(dir, "node.env", "TAG=2025.12.2\n")
	fmt.Println("nothing to do:", follow().Same(first.Inputs()))

	// Output:
	// Change node.env: TAG=2025.12.1
	// nothing to do: true
	// nothing to do: false
}

// push makes a commit like an engineer.
func push(dir, name, content string) {
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		panic(err)
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=master"},
		{"add", name},
		{"-c", "user.name=Ada", "-c", "user.email=ada@coin.example", "commit", "--quiet", "--message", "Change " + name},
	} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			panic(string(out))
		}
	}
}
