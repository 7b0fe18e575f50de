package journal

import (
	"fmt"

	"coin.internal/coin-agent/agent/audit"
)

// anchor remembers the head of the audit log, so that a cut is seen, and the key that
// seals its entries.
type anchor interface {
	AuditHead() (audit.Head, error)
	AuditKey() ([]byte, error)
	FollowAudit(head func() audit.Head) error
}

// Open opens the audit log in a folder. The anchor remembers its head from then on.
func Open(dir string, anchor anchor, options audit.Options) (*audit.Log, error) {
	var err error
	if options.Known, err = anchor.AuditHead(); err != nil {
		return nil, fmt.Errorf("read head of the audit log: %w", err)
	}
	if options.Key, err = anchor.AuditKey(); err != nil {
		return nil, fmt.Errorf("read key of the audit log: %w", err)
	}
	opened, err := audit.Open(dir, options)
	if err != nil {
		return nil, err
	}
	return opened, anchor.FollowAudit(opened.Head)
}
