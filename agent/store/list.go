package store

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/record"
)

// listKey holds the list of the node's stacks.
var listKey = []byte("stacks")

// Lists keeps the list of the node's stacks.
type Lists struct{ store *Store }

// Lists gives what keeps the list of the node's stacks.
func (s *Store) Lists() Lists { return Lists{s} }

// Stacks gives the keys of the stacks that have records.
func (l Lists) Stacks() []record.StackKey { return l.store.Stacks() }

// StackList gives the last known list of the node's stacks: one stack before the first one is
// known.
func (l Lists) StackList() (record.StackList, error) {
	list, err := get[record.StackList](l.store, metaBucket, "list of stacks", listKey)
	if err == nil && len(list.Stacks) == 0 {
		list = record.OneStack()
	}
	return list, err
}

// SaveStackList records the list. In the same transaction the records of a stack move to a new
// key, for each of moved, which gives the new keys. A key that has records keeps them.
func (l Lists) SaveStackList(list record.StackList, moved map[record.StackKey]record.StackKey) error {
	return inTransaction(l.store, func(tx *bbolt.Tx) error {
		for from, to := range moved {
			for _, parent := range []*bbolt.Bucket{tx.Bucket(stacksBucket), tx.Bucket(previewsBucket)} {
				if err := rename(parent, []byte(from), []byte(to)); err != nil {
					return fmt.Errorf("move the records of stack %s to %s: %w", from, to, err)
				}
			}
		}
		return putJSON(tx.Bucket(metaBucket), listKey, list)
	})
}

// rename moves a bucket to another name. It does nothing if the bucket does not exist, or if the
// name is taken.
func rename(parent *bbolt.Bucket, from, to []byte) error {
	if parent == nil || parent.Bucket(from) == nil || parent.Bucket(to) != nil {
		return nil
	}
	made, err := parent.CreateBucket(to)
	if err != nil {
		return err
	}
	return errors.Join(copyBucket(parent.Bucket(from), made), parent.DeleteBucket(from))
}

// copyBucket copies what a bucket has, with its numbering.
func copyBucket(from, to *bbolt.Bucket) error {
	if err := to.SetSequence(from.Sequence()); err != nil {
		return err
	}
	return from.ForEach(func(key, data []byte) error {
		if data != nil {
			return to.Put(bytes.Clone(key), bytes.Clone(data))
		}
		inner, err := to.CreateBucket(bytes.Clone(key))
		if err != nil {
			return err
		}
		return copyBucket(from.Bucket(key), inner)
	})
}

// GoodBut lists the recorded good states of all stacks but one that are still to be kept, without
// services, networks and files, in the order of the list. Those stacks count that were taken off the list,
// and run on.
func (l Lists) GoodBut(but record.StackKey) func(now time.Time) ([]record.GoodState, error) {
	return func(now time.Time) (good []record.GoodState, err error) {
		list, err := l.StackList()
		if err != nil {
			return nil, err
		}
		for _, key := range list.Keys() {
			if key == but {
				continue
			}
			of, err := l.store.Stack(key).BriefGood(now)
			if err != nil {
				return nil, err
			}
			good = append(good, of...)
		}
		return good, nil
	}
}
