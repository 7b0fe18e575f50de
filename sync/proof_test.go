package sync_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gitsync "coin.internal/coin-agent/sync"
	"coin.internal/coin-agent/sync/gittest"
)

// The bytes are those that git signs: the object without its signature.
func TestProof(t *testing.T) {
	everyKind(t, func(t *testing.T, kind string, options gittest.Options) {
		t.Helper()
		made := example(t)
		repo := open(t, remote(t, kind, made.Root(), options))
		proof, err := repo.Proof(t.Context(), selectBranch(t, repo))
		if err != nil {
			t.Fatal(err)
		}
		want := made.Git("cat-file", "commit", "HEAD")
		if got := strings.TrimSpace(string(proof.Commit.Payload)); got != want || proof.Commit.Email != "ada@coin.example" || proof.Commit.Signature != "" || proof.Tag != nil {
			t.Errorf("got %q of %s, want %q", got, proof.Commit.Email, want)
		}
		made.Annotate("v1")
		made.Tag("light")
		tag := gitsync.Revision{Commit: made.Head(), Ref: "v1", Tag: true}
		proof, err = repo.Proof(t.Context(), tag)
		if err != nil || proof.Tag == nil || strings.TrimSpace(string(proof.Tag.Payload)) != made.Git("cat-file", "tag", "v1") || len(proof.Commit.Payload) == 0 {
			t.Fatalf("of a tag: %+v, %v", proof, err)
		}
		tag.Ref = "light"
		if proof, err = repo.Proof(t.Context(), tag); err != nil || proof.Tag != nil || len(proof.Commit.Payload) == 0 {
			t.Errorf("of a lightweight tag: %+v, %v", proof, err)
		}
	})
}

// Nothing but the commit is asked for: a server without the folders can prove it.
func TestProofReadsNoFolder(t *testing.T) {
	for _, kind := range kinds {
		made := example(t)
		repo := open(t, remote(t, kind, made.Root(), gittest.Options{}))
		revision, tree := selectBranch(t, repo), made.Git("rev-parse", "HEAD:environments")
		if err := os.Remove(filepath.Join(made.Dir, ".git/objects", tree[:2], tree[2:])); err != nil {
			t.Fatal(err)
		}
		if proof, err := repo.Proof(t.Context(), revision); err != nil || len(proof.Commit.Payload) == 0 {
			t.Errorf("%s: %v", kind, err)
		}
		if _, err := repo.Fetch(t.Context(), revision, nil); err == nil && kind != "path" && kind != "file" {
			t.Errorf("%s: the folder is still there", kind)
		}
	}
}

// The signature of another tag proves nothing.
func TestProofOfAnotherTag(t *testing.T) {
	made := example(t)
	made.Annotate("2025-01-01-aaaaaaaaaa")
	old := made.Git("rev-parse", "2025-01-01-aaaaaaaaaa")
	first := made.Head()
	made.Git("update-ref", "refs/tags/2099-01-01-aaaaaaaaaa", old)
	made.Commit("Second", map[string]string{"a": "1"})
	made.Git("tag", "--annotate", "--message", "x", "nested", "2025-01-01-aaaaaaaaaa")
	made.Tag("light")
	repo := open(t, gitsync.Remote{URL: made.Dir})
	for _, test := range []struct {
		revision gitsync.Revision
		want     error
	}{
		{gitsync.Revision{Commit: first, Ref: "2099-01-01-aaaaaaaaaa", Tag: true}, gitsync.ErrRenamed},
		{gitsync.Revision{Commit: made.Head(), Ref: "2025-01-01-aaaaaaaaaa", Tag: true}, gitsync.ErrNotFound},
		{gitsync.Revision{Commit: first, Ref: "light", Tag: true}, gitsync.ErrNotFound},
		{gitsync.Revision{Commit: first, Ref: "nested", Tag: true}, gitsync.ErrRenamed},
		{gitsync.Revision{Commit: first, Ref: "gone", Tag: true}, gitsync.ErrNotFound},
		{gitsync.Revision{Commit: strings.Repeat("1", 40), Ref: "master"}, gitsync.ErrNotFound},
	} {
		if proof, err := repo.Proof(t.Context(), test.revision); !errors.Is(err, test.want) {
			t.Errorf("%s: %+v, %v", test.revision.Ref, proof, err)
		}
	}
}
