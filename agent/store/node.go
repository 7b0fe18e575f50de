package store

import (
	"bytes"
	"fmt"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/anchor"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/tokens"
)

// What the state file has of the node as a whole: the head of the audit log, and the book
// of notices.

// FollowAudit has the head of the audit log written with each outcome from now on, and
// writes it at once: it shows when the log is cut or replaced.
func (s *Store) FollowAudit(head func() audit.Head) error {
	s.audit = head
	return s.SaveAuditHead()
}

// SaveAuditHead writes the head of the audit log after entries that belong to no sync.
func (s *Store) SaveAuditHead() error {
	return inTransaction(s, func(tx *bbolt.Tx) error { return putAuditHead(s, tx) })
}

func putAuditHead(s *Store, tx *bbolt.Tx) error {
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
	err = viewBucket(s, metaBucket, func(b *bbolt.Bucket) error {
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
	return inTransaction(s, func(tx *bbolt.Tx) error { return putJSON(tx.Bucket(metaBucket), anchorsKey, book) })
}

// tokensKey holds what GitLab said of the tokens.
var tokensKey = []byte("gitlab-tokens")

var _ tokens.Store = (*Store)(nil)

// Tokens gives what GitLab said of each token, by its setting.
func (s *Store) Tokens() (map[string]tokens.Known, error) {
	return get[map[string]tokens.Known](s, metaBucket, "what GitLab said of the tokens", tokensKey)
}

// SaveTokens writes what GitLab said of the tokens.
func (s *Store) SaveTokens(known map[string]tokens.Known) error {
	return inTransaction(s, func(tx *bbolt.Tx) error { return putJSON(tx.Bucket(metaBucket), tokensKey, known) })
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
	return inTransaction(s, func(tx *bbolt.Tx) error { return putJSON(tx.Bucket(metaBucket), noticesKey, book) })
}
