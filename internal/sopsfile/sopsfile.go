// Package sopsfile is what all that write SOPS files share: the examples and the
// tests. The agent itself only reads them, with package secrets.
package sopsfile

import (
	"errors"
	"time"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/keys"
	"github.com/getsops/sops/v3/version"
)

// New gives a tree for one key. Names that match unencrypted stay readable; it
// may be empty.
func New(branch sops.TreeBranch, master keys.MasterKey, unencrypted string) *sops.Tree {
	tree := &sops.Tree{Branches: sops.TreeBranches{branch}, Metadata: sops.Metadata{
		KeyGroups:        []sops.KeyGroup{{master}},
		UnencryptedRegex: unencrypted,
		Version:          version.Version,
	}}
	if unencrypted == "" {
		tree.Metadata.UnencryptedSuffix = sops.DefaultUnencryptedSuffix
	}
	return tree
}

// Encrypt gives the file of a tree in plaintext, as changed now.
func Encrypt(store sops.Store, tree *sops.Tree, dataKey []byte, cipher sops.Cipher) ([]byte, error) {
	tree.Metadata.LastModified = time.Now().UTC()
	mac, err := tree.Encrypt(dataKey, cipher)
	if err != nil {
		return nil, err
	}
	tree.Metadata.MessageAuthenticationCode, err = cipher.Encrypt(mac, dataKey, modified(tree))
	if err != nil {
		return nil, err
	}
	return store.EmitEncryptedFile(*tree)
}

// Decrypt decrypts a tree in its place and checks its MAC.
func Decrypt(tree *sops.Tree, dataKey []byte, cipher sops.Cipher) error {
	mac, err := tree.Decrypt(dataKey, cipher)
	if err != nil {
		return err
	}
	stored, err := cipher.Decrypt(tree.Metadata.MessageAuthenticationCode, dataKey, modified(tree))
	if err != nil || stored != mac {
		return errors.New("its MAC does not fit its content")
	}
	return nil
}

// modified is the time as the MAC is bound to it.
func modified(tree *sops.Tree) string { return tree.Metadata.LastModified.Format(time.RFC3339) }
