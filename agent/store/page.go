package store

import (
	"cmp"
	"slices"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/record"
)

// scannedBytes bounds the records that one page reads of each stack: the next page
// continues there.
const scannedBytes = 32 << 20

// Page gives the syncs that a query selects, for a list, and marks those whose good state
// a rollback can return to. It may give fewer than the limit though there are more.
func (s *Store) Page(query record.Query) (record.Page, error) {
	page := record.Page{Syncs: []record.Sync{}}
	for _, key := range s.Stacks() {
		if query.Stack != "" && query.Stack != key {
			continue
		}
		stack := s.Stack(key)
		part, err := pageOf(stack, query)
		if err == nil {
			err = markGood(stack, part.Syncs)
		}
		if err != nil {
			return page, err
		}
		page.Syncs, page.Next = append(page.Syncs, part.Syncs...), max(page.Next, part.Next)
	}
	slices.SortFunc(page.Syncs, func(a, b record.Sync) int { return cmp.Compare(b.ID, a.ID) })
	page.Syncs = slices.DeleteFunc(page.Syncs, func(sync record.Sync) bool { return sync.ID < page.Next }) // another stack was not read so far
	if len(page.Syncs) > query.Limit {
		page.Syncs = page.Syncs[:query.Limit]
		page.Next = page.Syncs[query.Limit-1].ID
	}
	return page, nil
}

// pageOf gives the syncs of the stack that a query selects.
func pageOf(s *Stack, query record.Query) (page record.Page, err error) {
	err = viewStack(s, func(b *bbolt.Bucket) error {
		syncs, read := b.Bucket(syncsBucket), 0
		cursor := syncs.Cursor()
		for key, value := before(cursor, query.Before); key != nil; key, value = cursor.Prev() {
			data := contentOf(syncs, key, value)
			if read += len(data); read > scannedBytes && page.Next != 0 || len(page.Syncs) == query.Limit {
				return nil
			}
			var sync record.Sync
			if decodeRecord(s.store, func() string { return numbered(s, "sync", numberOf(key)) }, data, &sync) && query.Wants(&sync) {
				keyed(s, &sync)
				page.Syncs = append(page.Syncs, record.Row(&sync))
			}
			page.Next = numberOf(key)
		}
		page.Next = 0 // all are read
		return nil
	})
	return page, err
}

// before goes to the newest sync with a smaller ID; 0 for the newest of all.
func before(cursor *bbolt.Cursor, id uint64) (key, data []byte) {
	if id == 0 {
		return cursor.Last()
	}
	if key, _ := cursor.Seek(number(id)); key == nil {
		return cursor.Last()
	}
	return cursor.Prev()
}
