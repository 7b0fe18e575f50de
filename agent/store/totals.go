package store

import (
	"bytes"
	"fmt"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/record"
)

// TotalsOf gives the totals of a stack's syncs.
func TotalsOf(s *Stack) (record.Totals, error) {
	var totals record.Totals
	err := viewStack(s, func(b *bbolt.Bucket) error {
		totals = totalsOf(s, b)
		return nil
	})
	return totals, err
}

// totalsOf reads the totals. Those of an agent that did not count begin with the history.
func totalsOf(s *Stack, b *bbolt.Bucket) record.Totals {
	totals, found := find[record.Totals](s.store, b, nameOf(s, "totals"), totalsKey)
	if !found {
		for sync := range latest[record.Sync](s, b.Bucket(syncsBucket), "sync") {
			totals.Take(nil, &sync)
		}
	}
	return totals
}

// countSync counts a sync that is about to be saved, if that ends it or its rollback.
func countSync(s *Stack, b *bbolt.Bucket, sync *record.Sync) error {
	if record.ResultOf(sync) == "" && record.RollbackResultOf(sync) == "" {
		return nil
	}
	totals := totalsOf(s, b)
	var before *record.Sync
	if saved, found := find[record.Sync](s.store, b.Bucket(syncsBucket), numbered(s, "sync", sync.ID), number(sync.ID)); found {
		before = &saved
	}
	totals.Take(before, sync)
	return putJSON(b, totalsKey, totals)
}

// beginTotals saves the totals of the stacks that have none, because their agent did not count,
// so that no scrape reads the history. Rollbacks begin at 0, as that agent's counter did: alert
// rules would take those of the history for new ones.
func beginTotals(s *Store, tx *bbolt.Tx) error {
	var names [][]byte
	stacks := tx.Bucket(stacksBucket)
	if err := stacks.ForEachBucket(func(name []byte) error {
		names = append(names, bytes.Clone(name))
		return nil
	}); err != nil {
		return fmt.Errorf("list stacks: %w", err)
	}
	for _, name := range names {
		b := stacks.Bucket(name)
		if recordAt(b, totalsKey) != nil {
			continue
		}
		totals := totalsOf(s.Stack(record.StackKey(name)), b)
		totals.Rollbacks = nil
		if err := putJSON(b, totalsKey, totals); err != nil {
			return err
		}
	}
	return nil
}
