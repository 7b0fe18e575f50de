package main

import (
	"os"
	"path"
	"path/filepath"
	"testing"

	"coin.internal/coin-agent/examples/local"
	gitsync "coin.internal/coin-agent/sync"
)

// TestLooksAreCounted looks at the server as an agent does: each look counts once, the fetch of a
// commit does not.
func TestLooksAreCounted(t *testing.T) {
	root := t.TempDir()
	repo, err := local.NewRepository(t.Context(), filepath.Join(root, local.Project), "master")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Commit(t.Context(), "Add the stack", map[string]string{folder + "node.env": "A=1\n"}); err != nil {
		t.Fatal(err)
	}
	s, err := serve(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	secret := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(secret, []byte(local.Token), 0o600); err != nil {
		t.Fatal(err)
	}
	remote, err := gitsync.Open(gitsync.Remote{URL: s.Clone(), TokenFile: secret})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		revision, err := remote.Select(t.Context(), gitsync.Rule{Branch: "master"})
		if err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			if _, err := remote.Fetch(t.Context(), revision, []string{path.Clean(folder)}); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.looks.Load(); got != int64(n+1) {
			t.Errorf("%d looks are counted, want %d", got, n+1)
		}
	}
}
