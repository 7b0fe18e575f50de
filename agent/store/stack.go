package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/record"
)

// A stack's bucket has its own syncs, good states and approvals, and these keys.
var (
	syncsBucket     = []byte("syncs")
	goodBucket      = []byte("good")
	approvalsBucket = []byte("approvals")

	goodKey       = []byte("deployed")
	scaledDownKey = []byte("scaled-down")
	pauseKey      = []byte("pause")
	adoptionKey   = []byte("adoption")
	consentKey    = []byte("consent")
	totalsKey     = []byte("totals")
)

// Stack is what the state file has of one stack.
type Stack struct {
	store *Store
	key   record.StackKey
}

// Stack gives the records of a stack. Without records it is empty.
func (s *Store) Stack(key record.StackKey) *Stack { return &Stack{store: s, key: key} }

// Stacks lists the stacks that have records, sorted.
func (s *Store) Stacks() (keys []record.StackKey) {
	_ = viewBucket(s, stacksBucket, func(b *bbolt.Bucket) error {
		return b.ForEachBucket(func(name []byte) error {
			keys = append(keys, record.StackKey(name))
			return nil
		})
	})
	return keys
}

// makeStack gives a stack's bucket, which it makes where it is missing.
func makeStack(tx *bbolt.Tx, key record.StackKey) (*bbolt.Bucket, error) {
	stack, err := tx.Bucket(stacksBucket).CreateBucketIfNotExists([]byte(key))
	if err != nil {
		return nil, fmt.Errorf("make bucket of stack %s: %w", key, err)
	}
	for _, name := range [][]byte{syncsBucket, goodBucket, approvalsBucket} {
		if _, err := stack.CreateBucketIfNotExists(name); err != nil {
			return nil, fmt.Errorf("make bucket of stack %s: %w", key, err)
		}
	}
	return stack, nil
}

// viewStack reads the stack's bucket; a missing one is empty.
func viewStack(s *Stack, read func(*bbolt.Bucket) error) error {
	return viewBucket(s.store, stacksBucket, func(b *bbolt.Bucket) error {
		if stack := b.Bucket([]byte(s.key)); stack != nil {
			return read(stack)
		}
		return nil
	})
}

// update changes the stack's bucket.
func (s *Stack) update(change func(*bbolt.Tx, *bbolt.Bucket) error) error {
	return inTransaction(s.store, func(tx *bbolt.Tx) error {
		stack, err := makeStack(tx, s.key)
		if err != nil {
			return err
		}
		return change(tx, stack)
	})
}

// nameOf names a record of the stack.
func nameOf(s *Stack, record string) string { return fmt.Sprintf("%s of stack %s", record, s.key) }

// numbered names a record of the stack by its number.
func numbered(s *Stack, kind string, id uint64) string {
	return nameOf(s, fmt.Sprintf("%s #%d", kind, id))
}

// latest gives the readable records of a bucket of the stack, the newest first.
func latest[T any](s *Stack, b *bbolt.Bucket, kind string) iter.Seq[T] {
	return latestBy(s, b, kind, func(data []byte, one *T) error { return json.Unmarshal(data, one) })
}

// latestBy gives the same, as decode reads them.
func latestBy[T any](s *Stack, b *bbolt.Bucket, kind string, decode func([]byte, *T) error) iter.Seq[T] {
	return func(yield func(T) bool) {
		cursor := b.Cursor()
		for key, value := cursor.Last(); key != nil; key, value = cursor.Prev() {
			var one T
			data := contentOf(b, key, value)
			if readable(s.store, func() string { return numbered(s, kind, numberOf(key)) }, decode(data, &one)) && !yield(one) {
				return
			}
		}
	}
}

// upTo takes up to limit records.
func upTo[T any](limit int, records iter.Seq[T]) []T {
	all := []T{}
	for one := range records {
		if all = append(all, one); len(all) >= limit {
			break
		}
	}
	return all
}

// list reads up to limit records of a bucket of the stack, the newest first.
func list[T any](s *Stack, bucket []byte, kind string, limit int) (all []T, err error) {
	err = viewStack(s, func(stack *bbolt.Bucket) error {
		all = upTo(limit, latest[T](s, stack.Bucket(bucket), kind))
		return nil
	})
	return all, err
}

// first gives the first record of a list, or nil.
func first[T any](all []T, err error) (*T, error) {
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

// single reads a record of which the stack has one, or gives nil.
func single[T any](s *Stack, key []byte) (value *T, err error) {
	err = viewStack(s, func(b *bbolt.Bucket) error {
		if one, found := find[T](s.store, b, nameOf(s, string(key)), key); found {
			value = &one
		}
		return nil
	})
	return value, err
}

// putSingle writes a single record of the stack; without one it deletes it.
func putSingle(s *Stack, key []byte, value any, has bool) error {
	return s.update(func(_ *bbolt.Tx, b *bbolt.Bucket) error {
		if !has {
			return deleteRecord(b, key)
		}
		return putJSON(b, key, value)
	})
}

// ScaledDown gives the cron services that are still to be restored.
func (s *Stack) ScaledDown() (down record.ScaledDown, err error) {
	found, err := single[record.ScaledDown](s, scaledDownKey)
	if found != nil {
		down = *found
	}
	return down, err
}

// SaveScaledDown writes down the cron services to restore, before they are scaled down;
// without services it says that all are restored.
func (s *Stack) SaveScaledDown(down record.ScaledDown) error {
	return putSingle(s, scaledDownKey, down, len(down.Services) > 0)
}

// Pause gives the last pause, over or not; nil after a user resumed.
func (s *Stack) Pause() (*record.Pause, error) { return single[record.Pause](s, pauseKey) }

// SavePause begins a pause, or ends it with nil.
func (s *Stack) SavePause(pause *record.Pause) error {
	return putSingle(s, pauseKey, pause, pause != nil)
}

// Deployed gives the good state that was deployed last, or nil.
func (s *Stack) Deployed() (*record.GoodState, error) { return single[record.GoodState](s, goodKey) }

// SaveRemoved writes the sync with which the stack's objects were removed: no state is deployed
// then, nothing is adopted, and no rollback returns to what ran before.
func (s *Stack) SaveRemoved(sync *record.Sync) error {
	return s.update(func(tx *bbolt.Tx, b *bbolt.Bucket) error {
		errs := []error{countSync(s, b, sync), putSync(s, tx, b.Bucket(syncsBucket), sync), putAuditHead(s.store, tx)}
		for _, key := range [][]byte{goodKey, scaledDownKey, adoptionKey, consentKey} {
			errs = append(errs, deleteRecord(b, key))
		}
		return errors.Join(append(errs, dropGood(b), dropFiles(tx))...)
	})
}

// SaveOutcome writes a sync, and the good state that it deployed unless that is nil, in
// one transaction. A sync without an ID gets the next of the node, unless it cannot be written. A state
// that was verified before stays fit for a rollback, also if another process disturbs its next verification.
func (s *Stack) SaveOutcome(sync *record.Sync, good *record.GoodState) error {
	before := sync.ID
	err := s.update(func(tx *bbolt.Tx, b *bbolt.Bucket) error {
		if err := errors.Join(countSync(s, b, sync), putSync(s, tx, b.Bucket(syncsBucket), sync), putAuditHead(s.store, tx)); err != nil || good == nil {
			return err
		}
		goods := b.Bucket(goodBucket)
		last := sameGood(s, goods, good)
		if good.SyncID = sync.ID; last != nil && last.Unfit == "" {
			good.Unfit = ""
		}
		data, err := json.Marshal(good)
		if err != nil {
			return fmt.Errorf("marshal record: %w", err)
		}
		return errors.Join(putRecord(b, goodKey, data), saveGood(goods, good, last, data), pruneGood(s, goods, good.At),
			saveFiles(tx, good.Contents), dropFiles(tx))
	})
	switch {
	case err != nil:
		sync.ID = before // the next sync gets the number
	case good != nil:
		good.Contents = nil // saved
	}
	return err
}
