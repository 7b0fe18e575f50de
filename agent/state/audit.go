package state

import (
	"encoding/json"
	"fmt"
	"os"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/audit"
)

// FollowAudit has the head of the audit log written with each outcome from now
// on, and writes it at once: a log that is cut or replaced is seen by it.
func (s *Store) FollowAudit(head func() audit.Head) error {
	s.audit = head
	return s.SaveAuditHead()
}

// SaveAuditHead writes the head of the audit log after entries that belong to no
// sync.
func (s *Store) SaveAuditHead() error {
	return s.db.Update(s.putAuditHead)
}

func (s *Store) putAuditHead(tx *bbolt.Tx) error {
	if s.audit == nil {
		return nil
	}
	if err := putJSON(tx.Bucket(metaBucket), auditKey, s.audit()); err != nil {
		return fmt.Errorf("save head of the audit log: %w", err)
	}
	return nil
}

// AuditHead gives the audit log's last entry as it was written last; the zero Head
// when none was.
func (s *Store) AuditHead() (audit.Head, error) {
	var head audit.Head
	err := s.view(metaBucket, func(b *bbolt.Bucket) error {
		if data := b.Get(auditKey); data != nil {
			return json.Unmarshal(data, &head)
		}
		return nil
	})
	return head, err
}

// Exists tells whether there is a state file in dir.
func Exists(dir string) bool {
	_, err := os.Stat(path(dir))
	return err == nil
}
