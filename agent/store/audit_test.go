package store_test

import (
	"bytes"
	"testing"

	"coin.internal/coin-agent/agent/anchor"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/internal/memoryfolder"
)

// The key of the audit log is made once, is another one on each node, and is there to check
// the log without the daemon. The head says from which entry on it seals.
func TestAuditKey(t *testing.T) {
	dir := memoryfolder.New(t)
	store := open(t, dir)
	key, err := store.AuditKey()
	if err != nil || len(key) != 32 || bytes.Equal(key, store.Objects().FingerprintKey()) {
		t.Fatalf("a key of %d bytes, %v", len(key), err)
	}
	head := audit.Head{Seq: 9, Hash: "x", Keyed: 4}
	if err := store.FollowAudit(func() audit.Head { return head }); err != nil {
		t.Fatal(err)
	}
	book := anchor.Book{Kept: map[string]anchor.Mark{"issue #17": {Seq: 9, Hash: "x"}}}
	if err := store.SaveAnchors(book); err != nil {
		t.Fatal(err)
	}
	shut(t, store)
	reader, err := openReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, reader)
	again, err := reader.AuditKey()
	if err != nil || !bytes.Equal(key, again) {
		t.Errorf("another key after a restart, %v", err)
	}
	if got, err := reader.AuditHead(); err != nil || got != head {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := reader.Anchors(); err != nil || got.Kept["issue #17"] != book.Kept["issue #17"] {
		t.Errorf("%+v, %v", got, err)
	}
	other := open(t, memoryfolder.New(t))
	defer shut(t, other)
	if foreign, err := other.AuditKey(); err != nil || bytes.Equal(key, foreign) {
		t.Errorf("two nodes have one key, %v", err)
	}
}
