package store

import (
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/gitlab"
)

// Outbox is the part of the state file that the outbox of reports needs.
type Outbox struct{ store *Store }

var _ gitlab.Store = Outbox{}

// Outbox gives the part of the file that the outbox of reports works on.
func (s *Store) Outbox() Outbox { return Outbox{s} }

// Entries lists the reports that GitLab has not taken, the oldest first.
func (o Outbox) Entries() ([]gitlab.Entry, error) {
	var entries []gitlab.Entry
	err := viewBucket(o.store, reportsBucket, func(b *bbolt.Bucket) error {
		return b.ForEach(func(key, value []byte) error {
			var entry gitlab.Entry
			if decodeRecord(o.store, func() string { return fmt.Sprintf("report #%d", numberOf(key)) }, contentOf(b, key, value), &entry) {
				entries = append(entries, entry)
			}
			return nil
		})
	})
	return entries, err
}

// Save writes an entry; a new one gets the next number.
func (o Outbox) Save(entry *gitlab.Entry) error {
	return inTransaction(o.store, func(tx *bbolt.Tx) error {
		b := tx.Bucket(reportsBucket)
		if entry.Seq == 0 {
			seq, err := b.NextSequence()
			if err != nil {
				return fmt.Errorf("number report: %w", err)
			}
			entry.Seq = seq
		}
		return putJSON(b, number(entry.Seq), entry)
	})
}

// updated is as much of a gitlab.Trail as says whether it is old.
type updated struct {
	At time.Time `json:"updated"`
}

// Settle writes the trail of a report and deletes its entry.
func (o Outbox) Settle(seq uint64, of gitlab.Report, trail gitlab.Trail) error {
	return inTransaction(o.store, func(tx *bbolt.Tx) error {
		trails := tx.Bucket(trailsBucket)
		return errors.Join(
			dropOld(o.store, trails, "trails", func(one updated) time.Time { return one.At }),
			putJSON(trails, trailKey(of), trail),
			deleteRecord(tx.Bucket(reportsBucket), number(seq)),
		)
	})
}

// Trail reads what is remembered of a report's commit, ref and status name.
func (o Outbox) Trail(of gitlab.Report) (gitlab.Trail, error) {
	key := trailKey(of)
	return get[gitlab.Trail](o.store, trailsBucket, "trail of "+string(key), key)
}

func trailKey(of gitlab.Report) []byte { return []byte(of.Commit + " " + of.Ref + " " + of.Name) }
