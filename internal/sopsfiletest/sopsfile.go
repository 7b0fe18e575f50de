// Package sopsfiletest encrypts and decrypts SOPS files for the examples and the tests.
// The agent uses package secrets.
package sopsfiletest

import (
	"errors"
	"time"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/keys"
	"github.com/getsops/sops/v3/version"
)

// New returns a tree for one key. Values whose names match the pattern unencrypted,
// if there is one, are not encrypted.
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

// Encrypt encrypts a tree and returns its file, with the current time as the time of
// the change.
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

// Decrypt decrypts a tree in place and checks its MAC.
func Decrypt(tree *sops.Tree, dataKey []byte, cipher sops.Cipher) error {
	mac, err := tree.Decrypt(dataKey, cipher)
	if err != nil {
		return err
	}
	stored, err := cipher.Decrypt(tree.Metadata.MessageAuthenticationCode, dataKey, modified(tree))
	if err != nil || stored != mac {
		return errors.New("the MAC does not match the content")
	}
	return nil
}

// modified returns the time of the last change in the form that the MAC includes.
func modified(tree *sops.Tree) string { return tree.Metadata.LastModified.Format(time.RFC3339) }
