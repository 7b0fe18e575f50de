package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/gitlab"
)

// trailLife is how long it is remembered what GitLab was told of a commit.
const trailLife = 90 * 24 * time.Hour

// Outbox is the state file as the outbox of reports needs it.
type Outbox struct{ *Store }

var _ gitlab.Store = Outbox{}

// Entries lists the reports that GitLab has not taken, the oldest first.
func (o Outbox) Entries() ([]gitlab.Entry, error) {
	var entries []gitlab.Entry
	err := o.view(reportsBucket, func(b *bbolt.Bucket) error {
		return b.ForEach(func(_, data []byte) error {
			var entry gitlab.Entry
			if err := json.Unmarshal(data, &entry); err != nil {
				return fmt.Errorf("read report: %w", err)
			}
			entries = append(entries, entry)
			return nil
		})
	})
	return entries, err
}

// Save writes an entry; a new one gets the next number.
func (o Outbox) Save(entry *gitlab.Entry) error {
	return o.db.Update(func(tx *bbolt.Tx) error {
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

// Settle writes what is remembered of a commit and deletes the entry.
func (o Outbox) Settle(seq uint64, commit, ref string, trail gitlab.Trail) error {
	return o.db.Update(func(tx *bbolt.Tx) error {
		trails := tx.Bucket(trailsBucket)
		return errors.Join(
			forgetTrails(trails, time.Now().Add(-trailLife)),
			putJSON(trails, trailKey(commit, ref), trail),
			tx.Bucket(reportsBucket).Delete(number(seq)),
		)
	})
}

// Trail reads what is remembered of a commit and ref.
func (o Outbox) Trail(commit, ref string) (gitlab.Trail, error) {
	var trail gitlab.Trail
	err := o.view(trailsBucket, func(b *bbolt.Bucket) error {
		if data := b.Get(trailKey(commit, ref)); data != nil {
			return json.Unmarshal(data, &trail)
		}
		return nil
	})
	return trail, err
}

func trailKey(commit, ref string) []byte { return []byte(commit + " " + ref) }

// forgetTrails drops what was not touched since a time.
func forgetTrails(b *bbolt.Bucket, since time.Time) error {
	var old [][]byte
	err := b.ForEach(func(key, data []byte) error {
		var trail gitlab.Trail
		if json.Unmarshal(data, &trail) == nil && trail.Updated.Before(since) {
			old = append(old, append([]byte(nil), key...))
		}
		return nil
	})
	for _, key := range old {
		err = errors.Join(err, b.Delete(key))
	}
	return err
}
