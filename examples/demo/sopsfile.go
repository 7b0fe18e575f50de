package main

import (
	"errors"
	"fmt"
	"os"

	"filippo.io/age"
	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/stores/yaml"

	"coin.internal/coin-agent/internal/sopsfiletest"
)

// editSOPS sets one value in a SOPS file, as `sops set` does. All other values keep
// their ciphertext.
func editSOPS(path, keyFile, name string, value any) error {
	fail := func(err error) error { return fmt.Errorf("set %s in %s: %w", name, path, err) }
	content, err := os.ReadFile(path)
	if err != nil {
		return fail(err)
	}
	store := yaml.NewStore(&config.YAMLStoreConfig{})
	tree, err := store.LoadEncryptedFile(content)
	if err != nil {
		return fail(err)
	}
	dataKey, err := openDataKey(tree.Metadata.KeyGroups, keyFile)
	if err != nil {
		return fail(err)
	}
	cipher := aes.NewCipher() // keeps the ciphertext of unchanged values
	if err := sopsfiletest.Decrypt(&tree, dataKey, cipher); err != nil {
		return fail(err)
	}
	tree.Branches[0], _ = tree.Branches[0].Set([]any{name}, value)
	if content, err = sopsfiletest.Encrypt(store, &tree, dataKey, cipher); err != nil {
		return fail(err)
	}
	return os.WriteFile(path, content, 0o644)
}

// openDataKey decrypts the data key with the identities of the key file.
func openDataKey(groups []sops.KeyGroup, keyFile string) ([]byte, error) {
	file, err := os.Open(keyFile)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	identities, err := age.ParseIdentities(file)
	if err != nil {
		return nil, err
	}
	err = errors.New("the file has no age recipient")
	for _, group := range groups {
		for _, key := range group {
			master, ok := key.(*sopsage.MasterKey)
			if !ok {
				continue
			}
			sopsage.ParsedIdentities(identities).ApplyToMasterKey(master)
			var dataKey []byte
			if dataKey, err = master.Decrypt(); err == nil {
				return dataKey, nil
			}
		}
	}
	return nil, err
}
