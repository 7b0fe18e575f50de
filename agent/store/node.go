package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"time"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/anchor"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/notify"
)

// What the state file has of the node as a whole: the head of the audit log, the book of
// notices, fingerprints of secrets, and since when objects are unused.

// FollowAudit has the head of the audit log written with each outcome from now on, and
// writes it at once: it shows when the log is cut or replaced.
func (s *Store) FollowAudit(head func() audit.Head) error {
	s.audit = head
	return s.SaveAuditHead()
}

// SaveAuditHead writes the head of the audit log after entries that belong to no sync.
func (s *Store) SaveAuditHead() error { return s.write(s.putAuditHead) }

func (s *Store) putAuditHead(tx *bbolt.Tx) error {
	if s.audit == nil {
		return nil
	}
	if err := putJSON(tx.Bucket(metaBucket), auditKey, s.audit()); err != nil {
		return fmt.Errorf("save head of the audit log: %w", err)
	}
	return nil
}

// AuditHead gives the last entry of the audit log that was written here; the zero Head
// when there is none.
func (s *Store) AuditHead() (audit.Head, error) {
	return get[audit.Head](s, metaBucket, "head of the audit log", auditKey)
}

// AuditKey gives the key that seals the entries of the audit log; nil if the file has none
// yet. It is here, and not in a file beside the log: a copy of the log has it only if the
// state file is copied too.
func (s *Store) AuditKey() (key []byte, err error) {
	err = s.view(metaBucket, func(b *bbolt.Bucket) error {
		key = bytes.Clone(b.Get(sealKey))
		return nil
	})
	return key, err
}

// anchorsKey holds what is known of the places that have heads of the audit log.
var anchorsKey = []byte("audit-anchors")

var _ anchor.Store = (*Store)(nil)

// Anchors gives the book of anchors; an empty one before the first anchor.
func (s *Store) Anchors() (anchor.Book, error) {
	return get[anchor.Book](s, metaBucket, "book of anchors", anchorsKey)
}

// SaveAnchors writes the book of anchors.
func (s *Store) SaveAnchors(book anchor.Book) error {
	return s.write(func(tx *bbolt.Tx) error { return putJSON(tx.Bucket(metaBucket), anchorsKey, book) })
}

// noticesKey holds the book of notices: small, and written as a whole.
var noticesKey = []byte("notices")

var _ notify.Store = (*Store)(nil)

// Notices gives the book of notices; an empty one before the first notice.
func (s *Store) Notices() (notify.Book, error) {
	return get[notify.Book](s, metaBucket, "book of notices", noticesKey)
}

// SaveNotices writes the book of notices.
func (s *Store) SaveNotices(book *notify.Book) error {
	return s.write(func(tx *bbolt.Tx) error { return putJSON(tx.Bucket(metaBucket), noticesKey, book) })
}

// FingerprintKey is this file's own random key for fingerprints of secrets.
func (s *Store) FingerprintKey() []byte { return s.key }

// values gives the values of a bucket by key.
func values(s *Store, bucket []byte) (map[string]string, error) {
	all := map[string]string{}
	err := s.view(bucket, func(b *bbolt.Bucket) error {
		return b.ForEach(func(key, value []byte) error {
			all[string(key)] = string(value)
			return nil
		})
	})
	return all, err
}

// Fingerprints gives the fingerprint of each secret's content whose engine ID is known,
// by ID.
func (s *Store) Fingerprints() (map[string]string, error) { return values(s, secretsBucket) }

// LearnFingerprints adds fingerprints by engine ID.
func (s *Store) LearnFingerprints(learned map[string]string) error {
	if len(learned) == 0 {
		return nil
	}
	return s.write(func(tx *bbolt.Tx) error {
		for id, fingerprint := range learned {
			if err := tx.Bucket(secretsBucket).Put([]byte(id), []byte(fingerprint)); err != nil {
				return fmt.Errorf("save fingerprint: %w", err)
			}
		}
		return nil
	})
}

// Unused gives since when no service is known to use an object of Swarm, by its ID.
func (s *Store) Unused() (map[string]time.Time, error) {
	since := map[string]time.Time{}
	known, err := values(s, unusedBucket)
	for id, text := range known {
		var at time.Time
		if at.UnmarshalText([]byte(text)) == nil { // else the time of the object starts anew
			since[id] = at
		}
	}
	return since, err
}

// SeeUnused notes the objects that no service uses at a time, and forgets those that are
// used again or gone. It gives since when each is unused, and writes only where that
// changes.
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
	return since, s.write(func(tx *bbolt.Tx) error {
		b := tx.Bucket(unusedBucket)
		err := drop(b, func(id, _ []byte) bool { _, still := since[string(id)]; return !still })
		for id, at := range since {
			text, badTime := at.MarshalText()
			err = errors.Join(err, badTime, b.Put([]byte(id), text))
		}
		if err != nil {
			return fmt.Errorf("note what is unused: %w", err)
		}
		return nil
	})
}
