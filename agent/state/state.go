// Package state keeps what the agent must not forget, in one bbolt file: the
// syncs and their outcomes, what was last applied, the revision that is held,
// and the reports that GitLab has not taken yet. A record is written before the
// step that it describes, in a transaction. No plaintext secret enters it.
package state

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/internal/fault"
)

// ErrLocked says that another process holds the state file: the daemon runs.
var ErrLocked = errors.New("the state file is in use by a running agent")

// version of the file's form. A file of a newer form is refused.
const version = 1

var (
	metaBucket    = []byte("meta")
	syncsBucket   = []byte("syncs")
	reportsBucket = []byte("reports")
	trailsBucket  = []byte("trails")
	secretsBucket = []byte("fingerprints")
	goodBucket    = []byte("good")
	unusedBucket  = []byte("unused")
	filesBucket   = []byte("files")

	versionKey = []byte("version")
	secretKey  = []byte("fingerprint-key")
	appliedKey = []byte("applied")
	ownerKey   = []byte("owner")
	auditKey   = []byte("audit-head")
)

// Store is the open state file. Its methods may be called from many goroutines.
type Store struct {
	db    *bbolt.DB
	key   []byte
	audit func() audit.Head // the audit log's head, written with each outcome; nil: there is no log
}

// Open opens the state file in dir, which it makes (0700) when it is missing.
// owner is <environment>/<node>: the state of another node is refused.
func Open(dir, owner string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.New(fault.Place{}, "choose a state directory that the agent may write", "make state directory: %w", err)
	}
	if err := protect(dir); err != nil {
		return nil, err
	}
	db, err := open(dir, false)
	if err != nil {
		return nil, err
	}
	s := &Store{db: db}
	if err := db.Update(func(tx *bbolt.Tx) error { return s.prepare(tx, owner) }); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// protect sees to it that only the agent's user can enter the folder. One with
// other files in it may be used by others too: that is for the operator to say.
func protect(dir string) error {
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read state directory: %w", err)
	}
	for _, entry := range entries {
		if entry.Name() != filepath.Base(path(dir)) && entry.Name() != audit.FileName {
			return fault.New(fault.Place{}, "give the agent a state directory of its own, or: chmod 700 "+dir,
				"others than the agent's user may enter the state directory %s (mode %04o)", dir, info.Mode().Perm())
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a folder needs the x
		return fmt.Errorf("protect state directory: %w", err)
	}
	if err := os.Chmod(path(dir), 0o600); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("protect state file: %w", err)
	}
	return nil
}

// OpenReadOnly opens the state file of an agent that is not running, to look.
func OpenReadOnly(dir string) (*Store, error) {
	if _, err := os.Stat(path(dir)); err != nil {
		return nil, fault.New(fault.Place{}, "start the agent, or name its folder with --state-dir", "open state file: %w", err)
	}
	db, err := open(dir, true)
	if err != nil {
		return nil, err
	}
	return &Store{db: db}, nil
}

func path(dir string) string { return filepath.Join(dir, "state.db") }

func open(dir string, readOnly bool) (*bbolt.DB, error) {
	db, err := bbolt.Open(path(dir), 0o600, &bbolt.Options{Timeout: 200 * time.Millisecond, ReadOnly: readOnly})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fault.WithHint(ErrLocked, "stop the other agent, or give this one a state directory of its own")
	}
	if err != nil {
		return nil, fault.New(fault.Place{}, "see that the agent may write "+dir+", or move a damaged file away", "open state file %s: %w", path(dir), err)
	}
	return db, nil
}

// prepare makes the buckets and checks whose file this is.
func (s *Store) prepare(tx *bbolt.Tx, owner string) error {
	for _, name := range [][]byte{metaBucket, syncsBucket, reportsBucket, trailsBucket, secretsBucket, goodBucket, unusedBucket, filesBucket, approvalsBucket} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return fmt.Errorf("make bucket: %w", err)
		}
	}
	meta := tx.Bucket(metaBucket)
	if found := meta.Get(versionKey); found != nil && binary.BigEndian.Uint64(found) > version {
		return fault.New(fault.Place{}, "start the newer agent", "the state file was written by a newer agent")
	}
	if found := string(meta.Get(ownerKey)); found != "" && found != owner {
		return fault.New(fault.Place{}, "give each node its own state directory", "the state file belongs to %s, not to %s", found, owner)
	}
	if meta.Get(secretKey) == nil {
		key := make([]byte, 32)
		if _, err := rand.Read(key); err != nil {
			return fmt.Errorf("make fingerprint key: %w", err)
		}
		if err := meta.Put(secretKey, key); err != nil {
			return fmt.Errorf("save fingerprint key: %w", err)
		}
	}
	s.key = append([]byte(nil), meta.Get(secretKey)...)
	return errors.Join(meta.Put(versionKey, number(version)), meta.Put(ownerKey, []byte(owner)))
}

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }

// FingerprintKey is this file's own random key for fingerprints of secrets.
func (s *Store) FingerprintKey() []byte { return s.key }

// Fingerprints gives the fingerprint of each secret's content whose engine ID
// is known, by ID.
func (s *Store) Fingerprints() (map[string]string, error) {
	known := map[string]string{}
	err := s.view(secretsBucket, func(b *bbolt.Bucket) error {
		return b.ForEach(func(id, fingerprint []byte) error {
			known[string(id)] = string(fingerprint)
			return nil
		})
	})
	return known, err
}

// LearnFingerprints adds fingerprints by engine ID.
func (s *Store) LearnFingerprints(learned map[string]string) error {
	if len(learned) == 0 {
		return nil
	}
	return s.db.Update(func(tx *bbolt.Tx) error {
		for id, fingerprint := range learned {
			if err := tx.Bucket(secretsBucket).Put([]byte(id), []byte(fingerprint)); err != nil {
				return fmt.Errorf("save fingerprint: %w", err)
			}
		}
		return nil
	})
}

// view reads a bucket; a file that has none yet is empty.
func (s *Store) view(bucket []byte, read func(*bbolt.Bucket) error) error {
	return s.db.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket(bucket); b != nil {
			return read(b)
		}
		return nil
	})
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func numberOf(key []byte) uint64 { return binary.BigEndian.Uint64(key) }

func putJSON(b *bbolt.Bucket, key []byte, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("marshal record: %w", err)
	}
	return b.Put(key, data)
}
