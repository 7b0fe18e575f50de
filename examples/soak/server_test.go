package main

import (
	"os"
	"path"
	"path/filepath"
	"testing"

	gitsync "coin.internal/coin-agent/sync"
)

// TestLooksAreCounted looks at the server as an agent does: each look counts once, the fetch of a
// commit does not.
func TestLooksAreCounted(t *testing.T) {
	root := t.TempDir()
	repo := repository{filepath.Join(root, project)}
	if _, err := repo.make(t.Context(), map[string]string{folder + "node.env": "A=1\n"}); err != nil {
		t.Fatal(err)
	}
	s, err := serve(root, repo.branches(t.Context()), repo.tips(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.http.Close() }()
	secret := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(secret, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	remote, err := gitsync.Open(gitsync.Remote{URL: s.url + "/" + project, TokenFile: secret})
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
