package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// KeepGood bounds how many good states are recorded, whatever config.yml says.
const KeepGood = 50

// Retention is config.yml's `secrets.retention`: how long what nothing uses any
// more stays.
type Retention struct {
	After    time.Duration `json:"after"`    // since it was used last; 0 to go by Versions alone
	Versions int           `json:"versions"` // how many old ones stay however old they are
}

// Object is a secret or config that an applied stack refers to.
type Object struct {
	Name   string        `json:"name"`             // in Swarm
	Key    string        `json:"key,omitempty"`    // in the compose file; none for an external one
	Rotate time.Duration `json:"rotate,omitempty"` // after how long it is to be rotated; 0 for never
}

// Good lists up to limit recorded good states, the newest first: each revision
// that was applied and proven, where its specs differ from those of the one
// before. The newest is what was proven last. What they refer to is still in
// Swarm: collecting old versions spares it. There are as many as were in force
// within the retention time, never fewer than the newest and its Versions
// predecessors, and at most 50.
func (s *Store) Good(limit int) ([]Applied, error) {
	good := []Applied{}
	err := s.view(goodBucket, func(b *bbolt.Bucket) error {
		cursor := b.Cursor()
		for key, data := cursor.Last(); key != nil && len(good) < limit; key, data = cursor.Prev() {
			var one Applied
			if err := json.Unmarshal(data, &one); err != nil {
				return fmt.Errorf("read good state: %w", err)
			}
			good = append(good, one)
		}
		return nil
	})
	return good, err
}

// AllGood lists every recorded good state that is still to be kept, the newest
// first.
func (s *Store) AllGood(now time.Time) ([]Applied, error) {
	good, err := s.Good(KeepGood)
	if err != nil || len(good) == 0 {
		return nil, err
	}
	return good[:kept(good, now)], nil
}

// kept is how many of the good states, the newest first, are to be kept. A state
// was in force until the one after it came. One that went back counts as that which
// it went back to.
func kept(good []Applied, now time.Time) int {
	rule, roots := good[0].Retention, map[uint64]bool{}
	for i := range good {
		roots[good[i].Root()] = true
		if len(roots)-1 > rule.Versions && now.Sub(good[i-1].At) >= rule.After || i >= KeepGood {
			return i
		}
	}
	return len(good)
}

// saveGood records what was applied, unless it is what was recorded last: then
// only what else it was proven with is taken over, and the retention, which holds
// for all.
func saveGood(b *bbolt.Bucket, applied *Applied) error {
	key, data := b.Cursor().Last()
	if key == nil {
		return putJSON(b, number(applied.SyncID), applied)
	}
	var last Applied
	if err := json.Unmarshal(data, &last); err != nil {
		return fmt.Errorf("read good state: %w", err)
	}
	if !last.Same(applied) {
		return putJSON(b, number(applied.SyncID), applied)
	}
	if last.Retention == applied.Retention && maps.Equal(last.Files, applied.Files) && equal(last.Migration, applied.Migration) {
		return nil
	}
	last.Retention, last.Files, last.Migration = applied.Retention, applied.Files, applied.Migration
	return putJSON(b, bytes.Clone(key), last)
}

func equal[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// Newest gives the good state that was proven last, nil where there is none.
func (s *Store) Newest() (*Applied, error) {
	good, err := s.Good(1)
	if err != nil || len(good) == 0 {
		return nil, err
	}
	return &good[0], nil
}

// Root is the first state that had these services.
func (a *Applied) Root() uint64 {
	if a.Of != 0 {
		return a.Of
	}
	return a.SyncID
}

// Same tells whether two revisions came to the same objects.
func (a *Applied) Same(other *Applied) bool {
	names := func(a, b Object) bool { return a.Name == b.Name }
	return a.StackName == other.StackName && a.Owner == other.Owner &&
		bytes.Equal(a.Services, other.Services) && bytes.Equal(a.Networks, other.Networks) &&
		slices.EqualFunc(a.Secrets, other.Secrets, names) && slices.EqualFunc(a.Configs, other.Configs, names)
}

// PruneGood drops the good states that are no longer to be kept. Where there is
// none, nothing is written.
func (s *Store) PruneGood(now time.Time) error {
	good, err := s.Good(KeepGood + 1)
	if err != nil || len(good) == 0 || kept(good, now) == len(good) {
		return err
	}
	return s.db.Update(func(tx *bbolt.Tx) error {
		return errors.Join(pruneGood(tx.Bucket(goodBucket), now), dropFiles(tx))
	})
}

func pruneGood(b *bbolt.Bucket, now time.Time) error {
	var good []Applied
	var keys [][]byte
	cursor := b.Cursor()
	for key, data := cursor.Last(); key != nil; key, data = cursor.Prev() {
		var one Applied
		if err := json.Unmarshal(data, &one); err != nil {
			return fmt.Errorf("read good state: %w", err)
		}
		good, keys = append(good, one), append(keys, bytes.Clone(key))
	}
	if len(good) == 0 {
		return nil
	}
	for _, key := range keys[kept(good, now):] {
		if err := b.Delete(key); err != nil {
			return fmt.Errorf("drop good state: %w", err)
		}
	}
	return nil
}

// Unused gives since when nothing is known to use an object of Swarm, by its ID.
func (s *Store) Unused() (map[string]time.Time, error) {
	since := map[string]time.Time{}
	err := s.view(unusedBucket, func(b *bbolt.Bucket) error {
		return b.ForEach(func(id, data []byte) error {
			var at time.Time
			if err := at.UnmarshalText(data); err != nil {
				return fmt.Errorf("read since when %s is unused: %w", id, err)
			}
			since[string(id)] = at
			return nil
		})
	})
	return since, err
}

// SeeUnused notes the objects that nothing uses at a time, and forgets those that
// are used again or gone. It gives since when each is unused, and writes only
// where that changes.
func (s *Store) SeeUnused(ids []string, now time.Time) (map[string]time.Time, error) {
	known, err := s.Unused()
	if err != nil {
		return nil, err
	}
	since := map[string]time.Time{}
	for _, id := range ids {
		since[id] = now
		if at, ok := known[id]; ok {
			since[id] = at
		}
	}
	if maps.EqualFunc(known, since, time.Time.Equal) {
		return since, nil
	}
	return since, s.db.Update(func(tx *bbolt.Tx) error { return putUnused(tx, since) })
}

func putUnused(tx *bbolt.Tx, since map[string]time.Time) error {
	if err := tx.DeleteBucket(unusedBucket); err != nil {
		return fmt.Errorf("forget what is unused: %w", err)
	}
	b, err := tx.CreateBucket(unusedBucket)
	if err != nil {
		return fmt.Errorf("make bucket: %w", err)
	}
	for id, at := range since {
		text, err := at.MarshalText()
		if err != nil {
			return fmt.Errorf("note since when %s is unused: %w", id, err)
		}
		if err := b.Put([]byte(id), text); err != nil {
			return fmt.Errorf("note since when %s is unused: %w", id, err)
		}
	}
	return nil
}
