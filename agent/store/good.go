package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/record"
)

// Good lists up to limit recorded good states, the newest first: each revision that was
// applied and verified, if its specs differ from those of the one before. Swarm still has
// the objects that they refer to: the collection of old versions keeps those.
func (s *Stack) Good(limit int) ([]record.GoodState, error) {
	return list[record.GoodState](s, goodBucket, "good state", limit)
}

// AllGood lists every recorded good state that is still to be kept, the newest first.
func (s *Stack) AllGood(now time.Time) ([]record.GoodState, error) {
	good, err := s.Good(record.KeepGood)
	return good[:record.Kept(good, now)], err
}

// BriefGood lists the same, without services, networks and files.
func (s *Stack) BriefGood(now time.Time) (good []record.GoodState, err error) {
	err = viewStack(s, func(b *bbolt.Bucket) error {
		good = briefGood(s, b.Bucket(goodBucket), record.KeepGood)
		return nil
	})
	return good[:record.Kept(good, now)], err
}

// Newest gives the newest recorded good state that a rollback can return to, nil if there
// is none.
func (s *Stack) Newest() (fit *record.GoodState, err error) {
	err = viewStack(s, func(b *bbolt.Bucket) error {
		good := briefGood(s, b.Bucket(goodBucket), record.KeepGood)
		for i := record.NewestFit(good); i >= 0 && fit == nil; i = record.NewestFit(good) {
			id := good[i].SyncID
			if one, found := find[record.GoodState](s.store, b.Bucket(goodBucket), numbered(s, "good state", id), number(id)); found {
				fit = &one
			}
			good = slices.Delete(good, i, i+1)
		}
		return nil
	})
	return fit, err
}

// briefGood gives up to limit recorded good states, the newest first, without services, networks
// and files. With those, the states of a node with many services take many megabytes.
func briefGood(s *Stack, b *bbolt.Bucket, limit int) []record.GoodState {
	return upTo(limit, latestBy(s, b, "good state", brief))
}

// brief reads a good state without services, networks and files. They come last in the record, and
// what comes before is all that it reads. The services are a mapping, and those of the soak time
// a list. It reads the whole record where other fields follow.
func brief(data []byte, good *record.GoodState) error {
	if head, _, cut := cutGood(data); cut && json.Unmarshal(head, good) == nil {
		return nil
	}
	*good = record.GoodState{}
	err := json.Unmarshal(data, good)
	good.Services, good.Networks, good.Files = nil, nil, nil
	return err
}

// cutGood cuts the record of a good state before its services, and closes its head. It reports whether
// only services, networks and files follow: an older agent has written other fields after them.
func cutGood(data []byte) (head, rest []byte, cut bool) {
	head, rest, found := bytes.Cut(data, []byte(`,"services":{`))
	head = append(bytes.Clone(head), '}')
	return head, rest, found && bytes.Contains(head, []byte(`"resolve":`)) && json.Valid(head)
}

// sameGood gives the newest recorded good state, if it has the objects of another one.
func sameGood(s *Stack, b *bbolt.Bucket, good *record.GoodState) *record.GoodState {
	last, _ := first(upTo(1, latest[record.GoodState](s, b, "good state")), nil)
	if last == nil || !last.Same(good) {
		return nil
	}
	return last
}

// saveGood records a good state. last is the one before if that has the same objects: it keeps its
// number, commit, release and time, and all else of it is renewed. data is the record of good.
func saveGood(b *bbolt.Bucket, good, last *record.GoodState, data []byte) error {
	if last == nil {
		return putRecord(b, number(good.SyncID), data)
	}
	renewed := *good
	renewed.SyncID, renewed.Commit, renewed.Release, renewed.At, renewed.Of = last.SyncID, last.Commit, last.Release, last.At, last.Of
	return putJSON(b, number(renewed.SyncID), &renewed)
}

// SaveFitness writes the deployed good state, the recorded good states that change changes unless that
// is nil, and a sync unless that is nil, in one transaction. With 200 services, a good state takes
// a megabyte, so it holds only those that change.
func (s *Stack) SaveFitness(sync *record.Sync, deployed *record.GoodState, change func(*record.GoodState) bool) error {
	return s.update(func(tx *bbolt.Tx, b *bbolt.Bucket) error {
		err := errors.Join(putJSON(b, goodKey, deployed), putAuditHead(s.store, tx))
		if sync != nil {
			err = errors.Join(err, countSync(s, b, sync), putSync(s, tx, b.Bucket(syncsBucket), sync))
		}
		good := b.Bucket(goodBucket)
		for _, one := range changed(s, good, change) {
			err = errors.Join(err, putJSON(good, number(one.SyncID), &one))
		}
		return err
	})
}

// changed gives the recorded good states that change changes, with its changes.
func changed(s *Stack, b *bbolt.Bucket, change func(*record.GoodState) bool) (all []record.GoodState) {
	if change == nil {
		return nil
	}
	n := 0
	for one := range latest[record.GoodState](s, b, "good state") {
		if change(&one) {
			all = append(all, one)
		}
		if n++; n == record.KeepGood {
			break
		}
	}
	return all
}

// PruneGood drops the good states that are no longer to be kept. If there is none to
// drop, it writes nothing.
func (s *Stack) PruneGood(now time.Time) error {
	needless := false
	err := viewStack(s, func(b *bbolt.Bucket) error {
		good := briefGood(s, b.Bucket(goodBucket), record.KeepGood+1)
		needless = record.Kept(good, now) < len(good)
		return nil
	})
	if err != nil || !needless {
		return err
	}
	return s.update(func(tx *bbolt.Tx, stack *bbolt.Bucket) error {
		return errors.Join(pruneGood(s, stack.Bucket(goodBucket), now), dropFiles(tx))
	})
}

func pruneGood(s *Stack, b *bbolt.Bucket, now time.Time) error {
	good := briefGood(s, b, keepSyncs)
	for _, old := range good[record.Kept(good, now):] {
		if err := deleteRecord(b, number(old.SyncID)); err != nil {
			return fmt.Errorf("drop good state: %w", err)
		}
	}
	return nil
}

// dropGood drops all good states of a stack.
func dropGood(stack *bbolt.Bucket) error {
	err := stack.DeleteBucket(goodBucket)
	if err == nil {
		_, err = stack.CreateBucket(goodBucket)
	}
	if err != nil {
		return fmt.Errorf("drop the good states: %w", err)
	}
	return nil
}
