package store

import (
	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/record"
)

// Totals gives the totals of the stack's syncs.
func (s *Stack) Totals() (record.Totals, error) {
	var totals record.Totals
	err := s.view(func(b *bbolt.Bucket) error {
		totals = totalsOf(s, b)
		return nil
	})
	return totals, err
}

// totalsOf reads the totals. Those of an agent that did not count begin with the history.
func totalsOf(s *Stack, b *bbolt.Bucket) record.Totals {
	totals, found := find[record.Totals](s.store, b, s.name("totals"), totalsKey)
	if !found {
		for sync := range newest[record.Sync](s, b.Bucket(syncsBucket), "sync") {
			totals.Take(nil, &sync)
		}
	}
	return totals
}

// countSync counts a sync that is about to be saved, if that ends it or its rollback.
func countSync(s *Stack, b *bbolt.Bucket, sync *record.Sync) error {
	if sync.Result() == "" && sync.RollbackResult() == "" {
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
