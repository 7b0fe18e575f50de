// Package sopstest encrypts values to SOPS files for tests, in the form that the
// sops command writes.
package sopstest

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"filippo.io/age"
	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/stores/yaml"

	"coin.internal/coin-agent/internal/sopsfiletest"
	"coin.internal/coin-agent/secrets"
)

// Key is an age identity and its recipient.
type Key struct{ Identity, Recipient string }

// NewKey generates a key.
func NewKey(tb testing.TB) Key {
	tb.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		tb.Fatal(err)
	}
	return Key{Identity: identity.String(), Recipient: identity.Recipient().String()}
}

// File writes the identity into a file of its own, which only its owner can read, and gives its path.
func (k Key) File(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "age.key")
	if err := os.WriteFile(path, []byte(k.Identity+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// Keyring gives the keyring with the key.
func (k Key) Keyring(tb testing.TB) *secrets.Keyring {
	tb.Helper()
	keys, err := secrets.LoadKeys(secrets.KeyFiles{Age: []string{k.File(tb)}})
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

// YAML encrypts values to the key, except for names that begin with SV_.
func YAML(tb testing.TB, key Key, values map[string]string) string {
	tb.Helper()
	return encrypt(tb, key, values, "^SV_")
}

// WholeYAML encrypts all values to the key.
func WholeYAML(tb testing.TB, key Key, values map[string]string) string {
	tb.Helper()
	return encrypt(tb, key, values, "")
}

func encrypt(tb testing.TB, key Key, values map[string]string, unencrypted string) string {
	tb.Helper()
	var branch sops.TreeBranch
	for _, name := range slices.Sorted(maps.Keys(values)) {
		branch = append(branch, sops.TreeItem{Key: name, Value: values[name]})
	}
	master, err := sopsage.MasterKeyFromRecipient(key.Recipient)
	if err != nil {
		tb.Fatal(err)
	}
	tree := sopsfiletest.New(branch, master, unencrypted)
	dataKey, errs := tree.GenerateDataKey()
	if len(errs) > 0 {
		tb.Fatal(errs)
	}
	content, err := sopsfiletest.Encrypt(yaml.NewStore(&config.YAMLStoreConfig{}), tree, dataKey, aes.NewCipher())
	if err != nil {
		tb.Fatal(err)
	}
	return string(content)
}
