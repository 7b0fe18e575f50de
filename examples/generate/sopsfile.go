package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/stores/json"
	"github.com/getsops/sops/v3/stores/yaml"

	"coin.internal/coin-agent/internal/sopsfiletest"
)

// unencryptedVersions matches the values in secrets.override.enc that stay readable.
const unencryptedVersions = "^SV_"

// sopsFile is an encrypted file and its key. The decrypted content is only in memory.
type sopsFile struct {
	path        string
	key         key
	store       sops.Store
	unencrypted string // unencrypted_regex, may be empty
	branch      sops.TreeBranch
	changed     bool
}

func yamlFile(path string, key key) *sopsFile {
	return &sopsFile{path: path, key: key, store: yaml.NewStore(&config.YAMLStoreConfig{})}
}

func binaryFile(path string, key key) *sopsFile {
	return &sopsFile{path: path, key: key, store: json.NewBinaryStore(&config.JSONBinaryStoreConfig{Indent: -1})}
}

// read decrypts the file. A missing file is empty.
func (f *sopsFile) read() error {
	content, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	tree, err := f.store.LoadEncryptedFile(content)
	if err != nil {
		return fmt.Errorf("read %s: %w", f.path, err)
	}
	dataKey, err := f.key.open(tree.Metadata.KeyGroups[0])
	if err != nil {
		return fmt.Errorf("open %s (restore its key, or delete the file to make a new one): %w", f.path, err)
	}
	if err := sopsfiletest.Decrypt(&tree, dataKey, aes.NewCipher()); err != nil {
		return fmt.Errorf("decrypt %s: %w", f.path, err)
	}
	f.branch = tree.Branches[0]
	return nil
}

// get returns the value of a name, or nil.
func (f *sopsFile) get(name string) any {
	for _, item := range f.branch {
		if item.Key == name {
			return item.Value
		}
	}
	return nil
}

// add sets a value if the name has none.
func (f *sopsFile) add(name string, value any) {
	if f.get(name) != nil {
		return
	}
	f.branch = append(f.branch, sops.TreeItem{Key: name, Value: value})
	f.changed = true
}

// write encrypts the file if add has changed it.
func (f *sopsFile) write() error {
	if !f.changed {
		return nil
	}
	dataKey := make([]byte, 32)
	rand.Read(dataKey)
	master, err := f.key.seal(dataKey)
	if err != nil {
		return fmt.Errorf("encrypt the data key of %s: %w", f.path, err)
	}
	tree := sopsfiletest.New(f.branch, master, f.unencrypted)
	content, err := sopsfiletest.Encrypt(f.store, tree, dataKey, aes.NewCipher())
	if err != nil {
		return fmt.Errorf("encrypt %s: %w", f.path, err)
	}
	return writeChanged(f.path, content, 0o644)
}
