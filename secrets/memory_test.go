package secrets_test

import (
	"testing"

	"coin.internal/coin-agent/secrets"
)

// Those who open the same file between Begin and Wipe get values of their own of one decryption.
func TestMemory(t *testing.T) {
	keys := ageKeys(t)
	files := []secrets.File{
		{Path: node + "secrets.enc", Data: encrypt(t, "yaml", "db_access: canary-db\nSV_db_access: 2\n", toAge()...)},
		{Path: node + "platform/secrets.enc", Data: encrypt(t, "yaml", "cert: canary-cert\n", toAge()...)},
	}
	options := secrets.Options{Folders: []string{node[:len(node)-1], node + "platform"}}
	var memory secrets.Memory
	memory.Begin()
	first, err := memory.Open(keys, files, options)
	if err != nil {
		t.Fatal(err)
	}
	second, err := memory.Open(keys, files[:1], options)
	if err != nil {
		t.Fatal(err)
	}
	if got := value(first, "cert", ""); got != "canary-cert" {
		t.Errorf("cert is %q", got)
	}
	first.Wipe()
	if got := value(second, "db_access", ""); got != "canary-db" || second.Versions()["SV_db_access"] != "2" {
		t.Errorf("after another reader wiped its own, db_access is %q", got)
	}
	broken := []secrets.File{{Path: files[0].Path, Data: append([]byte("x: 1\n"), files[0].Data...)}}
	if _, err := memory.Open(keys, broken, options); err == nil {
		t.Error("a file that was changed is taken for the one that was decrypted")
	}
	memory.Wipe()
	if got := value(second, "db_access", ""); got != "canary-db" {
		t.Errorf("after the end of the turn, a reader's value is %q", got)
	}
}

// What is decrypted outside of a turn is not kept: without the key it cannot be opened again.
func TestMemoryKeepsNothing(t *testing.T) {
	file := []secrets.File{{Path: node + "secrets.enc", Data: encrypt(t, "yaml", "db_access: canary-db\n", toAge()...)}}
	var memory secrets.Memory
	if _, err := memory.Open(ageKeys(t), file, secrets.Options{}); err != nil {
		t.Fatal(err)
	}
	none := load(t, secrets.KeyFiles{Age: []string{lab.path("other.key")}})
	if _, err := memory.Open(none, file, secrets.Options{}); err == nil {
		t.Error("opened without a key")
	}
	memory.Begin()
	if _, err := memory.Open(ageKeys(t), file, secrets.Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := memory.Open(none, file, secrets.Options{}); err != nil {
		t.Errorf("decrypted again: %v", err)
	}
	memory.Wipe()
	if _, err := memory.Open(none, file, secrets.Options{}); err == nil {
		t.Error("kept after Wipe")
	}
}
