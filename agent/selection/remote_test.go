package selection_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/selection"
	gitsync "coin.internal/coin-agent/sync"
	"coin.internal/coin-agent/sync/gittest"
)

// remoteWith is a real git server with a release tag on each of two commits.
func remoteWith(t *testing.T) (made *gittest.Repo, remote *selection.Remote, server *gittest.HTTPServer) {
	t.Helper()
	made = gittest.New(t)
	server = gittest.HTTP(t, made.Root(), gittest.Options{})
	source, err := gitsync.Open(gitsync.Remote{URL: server.URL + "/repo"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"2026-01-10-aaaaaaaaaa", "2026-02-10-bbbbbbbbbb"} {
		made.Commit(tag, map[string]string{"node.env": tag})
		made.Annotate(tag)
	}
	return made, selection.NewRemote(source, gitsync.Rule{TagPattern: dated}), server
}

// selects checks the tag that a node follows on which a tag runs, and what it is told.
func selects(t *testing.T, made *gittest.Repo, remote *selection.Remote, runs, want, told string) {
	t.Helper()
	commit := made.Git("rev-parse", runs+"^{commit}")
	on := selection.NewRecord(&record.Sync{Commit: commit, Ref: runs, State: record.Succeeded}, &record.GoodState{Commit: commit})
	revision, texts, err := remote.Now(t.Context(), on)
	if err != nil || revision.Ref != want || revision.Commit != made.Git("rev-parse", want+"^{commit}") || !revision.Tag {
		t.Errorf("selects %+v (%v), want %s", revision, err, want)
	}
	if text := strings.Join(texts, "\n"); told == "" && text != "" || !strings.Contains(text, told) {
		t.Errorf("told %q, want %q", text, told)
	}
}

// TestClocksDoNotCount tags the oldest commit with a date and a clock in the future.
func TestClocksDoNotCount(t *testing.T) {
	made, remote, _ := remoteWith(t)
	const first, second, evil = "2026-01-10-aaaaaaaaaa", "2026-02-10-bbbbbbbbbb", "2099-01-01-eeeeeeeeee"
	selects(t, made, remote, first, second, "")
	made.At(time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC))
	made.Git("tag", "--annotate", "--message", "evil", evil, first+"^{commit}")
	selects(t, made, remote, second, second, "tag "+evil+" is not followed")
	selects(t, made, remote, first, second, "")
	made.Git("checkout", "--quiet", "--orphan", "other")
	made.Commit("another history", nil)
	made.Git("tag", "--force", evil)
	selects(t, made, remote, first, second, "tag "+evil+" is not followed")
	made.Git("checkout", "--quiet", "master")
	made.Commit("third", nil)
	made.At(time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC))
	made.Annotate("2026-03-10-cccccccccc")
	selects(t, made, remote, second, "2026-03-10-cccccccccc", "tag "+evil+" is not followed")
}

// TestHistoryIsAskedOnce counts the requests of looks at the same tags.
func TestHistoryIsAskedOnce(t *testing.T) {
	made, remote, server := remoteWith(t)
	selects(t, made, remote, "2026-01-10-aaaaaaaaaa", "2026-02-10-bbbbbbbbbb", "")
	server.Requests()
	selects(t, made, remote, "2026-01-10-aaaaaaaaaa", "2026-02-10-bbbbbbbbbb", "")
	if got := server.Requests(); !slices.Equal(got, []string{"POST /repo/git-upload-pack"}) {
		t.Errorf("a second look asks %q", got)
	}
}

// TestNamed finds the tag that a user asks for.
func TestNamed(t *testing.T) {
	_, remote, _ := remoteWith(t)
	refs, err := remote.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if found, err := remote.Named(refs, "2026-01-10-aaaaaaaaaa"); err != nil || found.Ref != "2026-01-10-aaaaaaaaaa" {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err := remote.Named(refs, "v1"); err == nil {
		t.Error("a tag that does not match was found")
	}
	if _, err := selection.NewRemote(nil, gitsync.Rule{Branch: "master"}).Named(selection.Refs{}, "v1"); err == nil || !strings.Contains(err.Error(), "follows the branch master") {
		t.Errorf("on a branch: %v", err)
	}
}
