// Package store keeps the agent's records in one bbolt file, state.db: the syncs and good
// states of each stack, and what the outboxes have not delivered yet. A record is written
// in a transaction, before the step that it describes. No plaintext secret enters it.
package store

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/internal/fault"
)

var (
	metaBucket    = []byte("meta")
	stacksBucket  = []byte("stacks") // a bucket for each stack; see stack.go
	reportsBucket = []byte("reports")
	trailsBucket  = []byte("trails")
	secretsBucket = []byte("fingerprints")
	unusedBucket  = []byte("unused")
	filesBucket   = []byte("files")

	versionKey = []byte("version")
	secretKey  = []byte("fingerprint-key")
	ownerKey   = []byte("owner")
	auditKey   = []byte("audit-head")
	sealKey    = []byte("audit-key")
)

// Store is the open state file. Its methods may be called from many goroutines.
type Store struct {
	db    *bbolt.DB
	key   []byte            // of fingerprints
	audit func() audit.Head // the audit log's head, written with each outcome; nil without a log

	// Around, where set, is called with each write, which it makes or refuses: a test
	// simulates full disks and kills with it.
	Around func(write func() error) error

	log        *slog.Logger
	mu         sync.Mutex
	unreadable map[string]error // records that were skipped, by name

	swept map[string]time.Time // when old records of a bucket were dropped last, by its name; only for writing transactions, of which there is one at a time
}

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }

// prepare makes the buckets, migrates an older file, and checks to which node the file
// belongs.
func prepare(s *Store, tx *bbolt.Tx, owner string) error {
	for _, name := range [][]byte{metaBucket, stacksBucket, reportsBucket, trailsBucket, secretsBucket, unusedBucket, filesBucket} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return fmt.Errorf("make bucket: %w", err)
		}
	}
	meta := tx.Bucket(metaBucket)
	if err := checkOwner(meta, owner); err != nil {
		return err
	}
	if err := migrate(tx, owner); err != nil {
		return fmt.Errorf("migrate the state file: %w", err)
	}
	if err := beginTotals(s, tx); err != nil {
		return fmt.Errorf("save totals: %w", err)
	}
	for _, name := range [][]byte{secretKey, sealKey} {
		if meta.Get(name) != nil {
			continue
		}
		key := make([]byte, 32)
		_, _ = rand.Read(key) // never returns an error
		if err := meta.Put(name, key); err != nil {
			return fmt.Errorf("save %s: %w", name, err)
		}
	}
	s.key = bytes.Clone(meta.Get(secretKey))
	return errors.Join(meta.Put(versionKey, number(version)), meta.Put(ownerKey, []byte(owner)))
}

// checkOwner refuses the state file of another node.
func checkOwner(meta *bbolt.Bucket, owner string) error {
	if found := string(meta.Get(ownerKey)); found != "" && found != owner {
		return fault.New(fault.Place{}, "give each node its own state directory", "the state file belongs to %s, not to %s", found, owner)
	}
	return nil
}

// inTransaction changes the file in one transaction. bbolt copies the records beside those that
// change, some of which have hundreds of kilobytes. The pages that it read are given back. A write that
// fails, as on a full disk, says nothing of the release that it is about: the failure is transient.
func inTransaction(s *Store, change func(*bbolt.Tx) error) error {
	defer s.Unload()
	if s.Around == nil {
		return fault.Transient(s.db.Update(change))
	}
	return fault.Transient(s.Around(func() error { return s.db.Update(change) }))
}

// viewBucket reads a top-level bucket; a missing one is empty.
func viewBucket(s *Store, bucket []byte, read func(*bbolt.Bucket) error) error {
	return s.db.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket(bucket); b != nil {
			return read(b)
		}
		return nil
	})
}

// find reads one record of a bucket, and reports whether there is a readable one.
func find[T any](s *Store, b *bbolt.Bucket, name string, key []byte) (value T, found bool) {
	data := recordAt(b, key)
	return value, data != nil && decodeRecord(s, func() string { return name }, data, &value)
}

// get reads one record of a top-level bucket, or gives the zero value.
func get[T any](s *Store, bucket []byte, name string, key []byte) (value T, err error) {
	err = viewBucket(s, bucket, func(b *bbolt.Bucket) error {
		value, _ = find[T](s, b, name, key)
		return nil
	})
	return value, err
}

// decodeRecord reads a record. An unreadable one is skipped: it is noted by the name, and must
// not block the records after it.
func decodeRecord(s *Store, named func() string, data []byte, value any) bool {
	return readable(s, named, json.Unmarshal(data, value))
}

// readable reports whether a record was read without an error, and notes one that was not.
func readable(s *Store, named func() string, err error) bool {
	if err == nil {
		return true
	}
	name := named()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unreadable == nil {
		s.unreadable = map[string]error{}
	}
	if s.unreadable[name] == nil && s.log != nil {
		s.log.Error("skipped an unreadable record of the state file", "record", name, "error", err)
	}
	s.unreadable[name] = err
	return false
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func numberOf(key []byte) uint64 {
	if len(key) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(key)
}

func putJSON(b *bbolt.Bucket, key []byte, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("marshal record: %w", err)
	}
	return putRecord(b, key, data)
}

// drop deletes the records of a bucket that are no longer needed.
func drop(b *bbolt.Bucket, needless func(key, data []byte) bool) error {
	var keys [][]byte
	err := b.ForEach(func(key, value []byte) error {
		if needless(key, contentOf(b, key, value)) {
			keys = append(keys, bytes.Clone(key))
		}
		return nil
	})
	for _, key := range keys {
		err = errors.Join(err, deleteRecord(b, key))
	}
	return err
}

const (
	// commitLife is how long the store remembers facts about a commit.
	commitLife = 90 * 24 * time.Hour

	// sweepEvery is how long a bucket with such facts is not read for old ones.
	sweepEvery = 24 * time.Hour
)

// dropOld deletes the records of a bucket whose time is longer ago than commitLife. Only the first
// call with a name, and one a day, read the bucket: it may have many thousand records.
func dropOld[T any](s *Store, b *bbolt.Bucket, name string, at func(T) time.Time) error {
	if last, swept := s.swept[name]; swept && time.Since(last) < sweepEvery {
		return nil
	}
	if s.swept == nil {
		s.swept = map[string]time.Time{}
	}
	s.swept[name] = time.Now()
	return drop(b, func(_, data []byte) bool {
		var one T
		return json.Unmarshal(data, &one) == nil && time.Since(at(one)) > commitLife
	})
}
