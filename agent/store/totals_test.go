package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/store"
)

// Totals are saved with the syncs, survive a restart, outlive the history, and begin with the
// history of an agent that did not count.
func TestTotals(t *testing.T) {
	dir := t.TempDir()
	opened := open(t, dir)
	at := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	save := func(sync *record.Sync) {
		t.Helper()
		if err := opened.Stack(record.OnlyStack).SaveOutcome(sync, nil); err != nil {
			t.Fatal(err)
		}
	}
	want := func(succeeded, failed uint64) {
		t.Helper()
		got, err := store.TotalsOf(opened.Stack(record.OnlyStack))
		expected := map[record.Result]map[record.Trigger]uint64{
			record.ResultSucceeded: {record.OnCommit: succeeded}, record.ResultFailed: {record.OnCommit: failed},
		}
		if diff := cmp.Diff(expected, got.Syncs); diff != "" || err != nil || got.Rollout.Count != succeeded {
			t.Errorf("%s %v %+v", diff, err, got.Rollout)
		}
	}
	for i := range 3 {
		sync := &record.Sync{Commit: "c", Trigger: record.OnCommit, State: record.Running, Wrote: true, Started: at}
		save(sync)
		sync.State, sync.Finished = record.Succeeded, at.Add(time.Second)
		if i == 2 {
			sync.State = record.Failed
		}
		save(sync)
		save(sync)
	}
	want(2, 1)
	shut(t, opened)
	edit(t, dir, func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("stacks")).Bucket([]byte(record.OnlyStack)).Delete([]byte("totals"))
	})
	opened = open(t, dir)
	want(2, 1)
	save(&record.Sync{Commit: "d", Trigger: record.OnCommit, State: record.Failed, Finished: at})
	want(2, 2)
	shut(t, opened)
	edit(t, dir, func(tx *bbolt.Tx) error {
		syncs := tx.Bucket([]byte("stacks")).Bucket([]byte(record.OnlyStack)).Bucket([]byte("syncs"))
		first, _ := syncs.Cursor().First()
		return syncs.Delete(first)
	})
	opened = open(t, dir)
	want(2, 2)
}

// TestTotalsBeginAtTheStart saves the totals of an agent that did not count when the file is
// opened: they do not depend on the history any more, and its rollbacks are not new ones.
func TestTotalsBeginAtTheStart(t *testing.T) {
	dir := t.TempDir()
	opened := open(t, dir)
	at := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	sync := &record.Sync{Commit: "c", Trigger: record.OnCommit, State: record.RolledBack, Finished: at, Rollback: &record.Rollback{Started: at, Finished: at}}
	if err := opened.Stack(record.OnlyStack).SaveOutcome(sync, nil); err != nil {
		t.Fatal(err)
	}
	shut(t, opened)
	change := func(key string) {
		t.Helper()
		edit(t, dir, func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte("stacks")).Bucket([]byte(record.OnlyStack))
			if key == "totals" {
				return b.Delete([]byte(key))
			}
			first, _ := b.Bucket([]byte(key)).Cursor().First()
			return b.Bucket([]byte(key)).Delete(first)
		})
	}
	for _, key := range []string{"totals", "syncs"} {
		change(key)
		opened = open(t, dir)
		got, err := store.TotalsOf(opened.Stack(record.OnlyStack))
		if err != nil || got.Syncs[record.ResultRolledBack][record.OnCommit] != 1 || len(got.Rollbacks) > 0 {
			t.Errorf("without %s: %+v, %v", key, got, err)
		}
		shut(t, opened)
	}
}
