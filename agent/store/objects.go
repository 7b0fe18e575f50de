package store

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/newest"
)

// Objects keeps what is known of the engine's secrets and configs, by the engine's IDs, and of
// their newest versions in Vault.
type Objects struct{ store *Store }

// Objects gives what is known of the engine's secrets and configs.
func (s *Store) Objects() Objects { return Objects{s} }

// FingerprintKey is this file's own random key for fingerprints of secrets.
func (o Objects) FingerprintKey() []byte { return o.store.key }

// values gives the values of a bucket by key.
func values(s *Store, bucket []byte) (map[string]string, error) {
	all := map[string]string{}
	err := viewBucket(s, bucket, func(b *bbolt.Bucket) error {
		return b.ForEach(func(key, value []byte) error {
			all[string(key)] = string(value)
			return nil
		})
	})
	return all, err
}

// Fingerprints gives the fingerprint of each secret's content whose engine ID is known,
// by ID.
func (o Objects) Fingerprints() (map[string]string, error) { return values(o.store, secretsBucket) }

// LearnFingerprints adds fingerprints by engine ID.
func (o Objects) LearnFingerprints(learned map[string]string) error {
	if len(learned) == 0 {
		return nil
	}
	return inTransaction(o.store, func(tx *bbolt.Tx) error {
		for id, fingerprint := range learned {
			if err := tx.Bucket(secretsBucket).Put([]byte(id), []byte(fingerprint)); err != nil {
				return fmt.Errorf("save fingerprint: %w", err)
			}
		}
		return nil
	})
}

// Unused gives since when no service is known to use an object of Swarm, by its ID.
func (o Objects) Unused() (map[string]time.Time, error) {
	since := map[string]time.Time{}
	known, err := values(o.store, unusedBucket)
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
func (o Objects) SeeUnused(ids []string, now time.Time) (map[string]time.Time, error) {
	known, err := o.Unused()
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
	return since, inTransaction(o.store, func(tx *bbolt.Tx) error {
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

// newestKey holds what Vault said of newer versions of secrets.
var newestKey = []byte("vault-newest")

var _ newest.Store = Objects{}

// Newest gives what Vault said of newer versions of secrets.
func (o Objects) Newest() (newest.Known, error) {
	return get[newest.Known](o.store, metaBucket, "what Vault said of newer versions", newestKey)
}

// SaveNewest writes what Vault said of newer versions of secrets.
func (o Objects) SaveNewest(known newest.Known) error {
	return inTransaction(o.store, func(tx *bbolt.Tx) error { return putJSON(tx.Bucket(metaBucket), newestKey, known) })
}
