package store

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/record"
)

// keepSyncs is how many syncs the history of a stack holds; the oldest go first.
const keepSyncs = 1000

// putSync writes a sync. The syncs of all stacks of a node share one sequence of numbers.
func putSync(s *Stack, tx *bbolt.Tx, b *bbolt.Bucket, sync *record.Sync) error {
	keyed(s, sync)
	if sync.ID == 0 {
		id, err := tx.Bucket(stacksBucket).NextSequence()
		if err != nil {
			return fmt.Errorf("number sync: %w", err)
		}
		sync.ID = id
		if oldest, _ := b.Cursor().First(); oldest != nil && b.Sequence() >= keepSyncs {
			if err := deleteRecord(b, oldest); err != nil {
				return fmt.Errorf("drop old sync: %w", err)
			}
		} else if _, err := b.NextSequence(); err != nil { // counts the syncs of the stack
			return fmt.Errorf("count sync: %w", err)
		}
	}
	return putJSON(b, number(sync.ID), sync)
}

// keyed gives a sync the key of its stack on a node with several: its records may have moved.
func keyed(s *Stack, sync *record.Sync) {
	if sync.Key = s.key; s.key == record.OnlyStack {
		sync.Key = ""
	}
}

// Syncs lists up to limit syncs of the stack, the newest first.
func (s *Stack) Syncs(limit int) ([]record.Sync, error) {
	syncs, err := list[record.Sync](s, syncsBucket, "sync", limit)
	for i := range syncs {
		keyed(s, &syncs[i])
	}
	return syncs, err
}

// LastSync gives the newest sync of the stack, or nil when there is none.
func (s *Stack) LastSync() (*record.Sync, error) { return first(s.Syncs(1)) }

// LatestSync gives the newest sync for which is is true, or nil when there is none.
func (s *Stack) LatestSync(is func(*record.Sync) bool) (found *record.Sync, err error) {
	err = viewStack(s, func(stack *bbolt.Bucket) error {
		for sync := range latest[record.Sync](s, stack.Bucket(syncsBucket), "sync") {
			if keyed(s, &sync); is(&sync) {
				found = &sync
				break
			}
		}
		return nil
	})
	return found, err
}

// SyncsUntil lists the syncs since the last one for which enough is true, the newest first.
func (s *Stack) SyncsUntil(enough func(*record.Sync) bool) (syncs []record.Sync, err error) {
	err = viewStack(s, func(stack *bbolt.Bucket) error {
		for sync := range latest[record.Sync](s, stack.Bucket(syncsBucket), "sync") {
			if enough(&sync) {
				break
			}
			keyed(s, &sync)
			syncs = append(syncs, sync)
		}
		return nil
	})
	return syncs, err
}

// History lists up to limit syncs of all stacks, the newest first, and marks those whose
// good state a rollback can return to.
func (s *Store) History(limit int) ([]record.Sync, error) {
	all := []record.Sync{}
	for _, key := range s.Stacks() {
		stack := s.Stack(key)
		syncs, err := stack.Syncs(limit)
		if err != nil {
			return nil, err
		}
		if err := markGood(stack, syncs); err != nil {
			return nil, err
		}
		all = append(all, syncs...)
	}
	slices.SortFunc(all, func(a, b record.Sync) int { return cmp.Compare(b.ID, a.ID) })
	return all[:min(limit, len(all))], nil
}

func markGood(s *Stack, syncs []record.Sync) error {
	good, err := s.BriefGood(time.Now())
	for i := range syncs {
		syncs[i].Good = slices.ContainsFunc(good, func(one record.GoodState) bool { return one.SyncID == syncs[i].ID && one.Unfit == "" })
	}
	return err
}

// Sync gives a sync of any stack by its ID, nil where there is none, and the oldest and
// the newest ID that there are.
func (s *Store) Sync(id uint64) (found *record.Sync, oldest, newest uint64, err error) {
	for _, key := range s.Stacks() {
		stack := s.Stack(key)
		var own []record.Sync
		err := viewStack(stack, func(b *bbolt.Bucket) error {
			syncs := b.Bucket(syncsBucket)
			first, _ := syncs.Cursor().First()
			last, _ := syncs.Cursor().Last()
			if first == nil {
				return nil
			}
			if n := numberOf(first); oldest == 0 || n < oldest {
				oldest = n
			}
			newest = max(newest, numberOf(last))
			if one, has := find[record.Sync](s, syncs, numbered(stack, "sync", id), number(id)); has {
				keyed(stack, &one)
				own = append(own, one)
			}
			return nil
		})
		if err == nil && len(own) > 0 {
			found, err = &own[0], markGood(stack, own)
		}
		if err != nil {
			return nil, 0, 0, err
		}
	}
	return found, oldest, newest, nil
}

const (
	compared = 10  // how many good releases a check's time is compared with
	searched = 200 // bounds the syncs that are read for them
)

// CheckTimes gives how many seconds each check took, by its name, in the last ten good
// revisions other than commit, the newest first.
func (s *Stack) CheckTimes(commit string) (map[string][]float64, error) {
	type checked struct {
		Commit string       `json:"commit"`
		State  record.State `json:"state"`
		Checks []struct {
			Name    string  `json:"name"`
			Seconds float64 `json:"seconds"`
		} `json:"checks"`
	}
	times, seen := map[string][]float64{}, map[string]bool{commit: true}
	err := viewStack(s, func(b *bbolt.Bucket) error {
		read := 0
		for sync := range latest[checked](s, b.Bucket(syncsBucket), "sync") {
			if read++; read > searched || len(seen) > compared {
				break
			}
			if sync.State != record.Succeeded || len(sync.Checks) == 0 || seen[sync.Commit] {
				continue
			}
			seen[sync.Commit] = true
			for _, check := range sync.Checks {
				times[check.Name] = append(times[check.Name], check.Seconds)
			}
		}
		return nil
	})
	return times, err
}
