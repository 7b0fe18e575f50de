package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"time"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/record"
)

// Good lists up to limit recorded good states, the newest first: each revision that was
// applied and verified, if its specs differ from those of the one before. Swarm still has
// the objects that they refer to: the collection of old versions keeps those.
func (s *Stack) Good(limit int) ([]record.GoodState, error) {
	var good []record.GoodState
	err := s.view(func(stack *bbolt.Bucket) error {
		good, _ = s.readGood(stack.Bucket(goodBucket), limit)
		return nil
	})
	return good, err
}

// readGood reads up to limit good states, the newest first, with their keys.
func (s *Stack) readGood(b *bbolt.Bucket, limit int) (good []record.GoodState, keys [][]byte) {
	for key, one := range newest[record.GoodState](s, b, "good state") {
		good, keys = append(good, one), append(keys, bytes.Clone(key))
		if len(good) >= limit {
			break
		}
	}
	return good, keys
}

// AllGood lists every recorded good state that is still to be kept, the newest first.
func (s *Stack) AllGood(now time.Time) ([]record.GoodState, error) {
	good, err := s.Good(record.KeepGood)
	return good[:record.Kept(good, now)], err
}

// Newest gives the newest recorded good state that a rollback can return to, nil if there
// is none.
func (s *Stack) Newest() (*record.GoodState, error) {
	good, err := s.Good(record.KeepGood)
	for i := range good {
		if good[i].Unfit == "" {
			return &good[i], err
		}
	}
	return nil, err
}

// saveGood records a good state, unless it has the objects of the one before: then only
// the files, migration, retention and fitness of that one are renewed.
func (s *Stack) saveGood(b *bbolt.Bucket, good *record.GoodState) error {
	before, keys := s.readGood(b, 1)
	if len(before) == 0 || !before[0].Same(good) {
		return putJSON(b, number(good.SyncID), good)
	}
	last := before[0]
	if last.Retention == good.Retention && last.Unfit == good.Unfit && maps.Equal(last.Files, good.Files) && equal(last.Migration, good.Migration) {
		return nil
	}
	last.Retention, last.Files, last.Migration, last.Unfit = good.Retention, good.Files, good.Migration, good.Unfit
	return putJSON(b, keys[0], last)
}

func equal[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// PruneGood drops the good states that are no longer to be kept. If there is none to
// drop, it writes nothing.
func (s *Stack) PruneGood(now time.Time) error {
	good, err := s.Good(record.KeepGood + 1)
	if err != nil || record.Kept(good, now) == len(good) {
		return err
	}
	return s.update(func(tx *bbolt.Tx, stack *bbolt.Bucket) error {
		return errors.Join(s.pruneGood(stack.Bucket(goodBucket), now), s.store.dropFiles(tx))
	})
}

func (s *Stack) pruneGood(b *bbolt.Bucket, now time.Time) error {
	good, keys := s.readGood(b, keepSyncs)
	for _, key := range keys[record.Kept(good, now):] {
		if err := b.Delete(key); err != nil {
			return fmt.Errorf("drop good state: %w", err)
		}
	}
	return nil
}
