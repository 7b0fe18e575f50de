package store_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/internal/memoryfolder"
)

func entry(commit string) *gitlab.Entry {
	return &gitlab.Entry{Report: gitlab.Report{Commit: commit, Ref: "master", State: gitlab.Running}, Enqueued: time.Unix(1e9, 0).UTC()}
}

// The outbox's store keeps entries in order, never gives a number twice, and
// settles an entry and its trail together; all of it over restarts.
func TestOutboxStore(t *testing.T) {
	dir := memoryfolder.New(t)
	store := open(t, dir)
	outbox := store.Outbox()
	first, second := entry("a"), entry("b")
	for i, e := range []*gitlab.Entry{first, second} {
		if err := outbox.Save(e); err != nil || e.Seq != uint64(i+1) {
			t.Fatalf("saved as %d: %v", e.Seq, err)
		}
	}
	first.Attempted = true
	if err := outbox.Save(first); err != nil {
		t.Fatal(err)
	}
	shut(t, store)

	store = open(t, dir)
	outbox = store.Outbox()
	wantEntries(t, outbox, *first, *second)
	trail := gitlab.Trail{PipelineID: 7, StatusID: 9, Last: second.Report, Updated: time.Now().UTC().Truncate(time.Second)}
	if err := outbox.Settle(second.Seq, second.Report, trail); err != nil {
		t.Fatal(err)
	}
	shut(t, store)

	store = open(t, dir)
	outbox = store.Outbox()
	wantEntries(t, outbox, *first)
	got, err := outbox.Trail(second.Report)
	if diff := cmp.Diff(trail, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for _, key := range []gitlab.Report{{Commit: "b", Ref: "release"}, {Commit: "a", Ref: "master"}, {Commit: "b", Ref: "master", Name: "other"}} {
		if got, err := outbox.Trail(key); err != nil || got != (gitlab.Trail{}) {
			t.Errorf("%+v: %+v, %v", key, got, err)
		}
	}
	third := entry("c")
	if err := outbox.Save(third); err != nil || third.Seq != 3 {
		t.Errorf("saved as %d: %v", third.Seq, err)
	}
}

// Old trails are dropped with the first report after the start, and with one a day later.
func TestOldTrails(t *testing.T) {
	dir := memoryfolder.New(t)
	synctest.Test(t, func(t *testing.T) {
		opened := open(t, dir)
		settle := func(commit string, updated time.Time) {
			t.Helper()
			if err := opened.Outbox().Settle(1, gitlab.Report{Commit: commit, Ref: "master"}, gitlab.Trail{PipelineID: 1, Updated: updated}); err != nil {
				t.Fatal(err)
			}
		}
		want := func(commits ...string) {
			t.Helper()
			var got []string
			for _, commit := range []string{"old", "recent", "new", "last"} {
				if trail, err := opened.Outbox().Trail(gitlab.Report{Commit: commit, Ref: "master"}); err != nil {
					t.Fatal(err)
				} else if trail.PipelineID != 0 {
					got = append(got, commit)
				}
			}
			if diff := cmp.Diff(commits, got); diff != "" {
				t.Error(diff)
			}
		}
		settle("old", time.Now().Add(-91*day))
		settle("recent", time.Now().Add(-89*day))
		want("old", "recent")
		shut(t, opened)
		opened = open(t, dir)
		defer shut(t, opened)
		settle("new", time.Now())
		want("recent", "new")
		time.Sleep(day + time.Second)
		want("recent", "new")
		time.Sleep(day)
		settle("last", time.Now())
		want("new", "last")
	})
}

func wantEntries(t *testing.T, outbox store.Outbox, want ...gitlab.Entry) {
	t.Helper()
	got, err := outbox.Entries()
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}
