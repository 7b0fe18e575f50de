package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/getsops/sops/v3"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/keys"
	sopspgp "github.com/getsops/sops/v3/pgp"
)

const marking = "TEST KEY, for the example only"

// key is the key of an environment.
type key interface {
	rule() string // its line in .sops.yaml
	seal(dataKey []byte) (keys.MasterKey, error)
	open(group sops.KeyGroup) (dataKey []byte, err error)
}

type ageKey struct{ identity *age.X25519Identity }

// ageKeyOf reads keys/<name>.agekey, or makes it if it does not exist.
func ageKeyOf(dir, name string) (key, error) {
	path := filepath.Join(dir, name+".agekey")
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		identity, err := age.GenerateX25519Identity()
		if err != nil {
			return nil, err
		}
		text := fmt.Sprintf("# %s: environment %s\n# public key: %s\n%s\n", marking, name, identity.Recipient(), identity)
		return ageKey{identity}, writeChanged(path, []byte(text), 0o600)
	}
	if err != nil {
		return nil, err
	}
	identities, err := age.ParseIdentities(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	identity, ok := identities[0].(*age.X25519Identity)
	if !ok {
		return nil, fmt.Errorf("read %s: not an X25519 identity", path)
	}
	return ageKey{identity}, nil
}

func (k ageKey) rule() string { return "age: " + k.identity.Recipient().String() }

func (k ageKey) seal(dataKey []byte) (keys.MasterKey, error) {
	master, err := sopsage.MasterKeyFromRecipient(k.identity.Recipient().String())
	if err != nil {
		return nil, err
	}
	return master, master.Encrypt(dataKey)
}

func (k ageKey) open(group sops.KeyGroup) ([]byte, error) {
	for _, candidate := range group {
		if master, ok := candidate.(*sopsage.MasterKey); ok && master.Recipient == k.identity.Recipient().String() {
			sopsage.ParsedIdentities{k.identity}.ApplyToMasterKey(master)
			return master.Decrypt()
		}
	}
	return nil, fmt.Errorf("the file is not encrypted to %s", k.identity.Recipient())
}

// pgpKey encrypts and decrypts without gpg and a key ring.
type pgpKey struct{ entity *openpgp.Entity }

// pgpKeyOf reads keys/<name>.asc, or makes it and its public key if it does not
// exist.
func pgpKeyOf(dir, name string) (key, error) {
	path := filepath.Join(dir, name+".asc")
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newPGPKey(dir, name)
	}
	if err != nil {
		return nil, err
	}
	ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return pgpKey{ring[0]}, nil
}

func newPGPKey(dir, name string) (key, error) {
	entity, err := openpgp.NewEntity("coin "+name, marking, name+"@coin.example", nil)
	if err != nil {
		return nil, err
	}
	private, err := armored(openpgp.PrivateKeyType, func(w io.Writer) error { return entity.SerializePrivate(w, nil) })
	if err != nil {
		return nil, err
	}
	public, err := armored(openpgp.PublicKeyType, entity.Serialize)
	if err != nil {
		return nil, err
	}
	return pgpKey{entity}, errors.Join(
		writeChanged(filepath.Join(dir, name+".asc"), private, 0o600),
		writeChanged(filepath.Join(dir, name+".pub.asc"), public, 0o644),
	)
}

func armored(kind string, write func(io.Writer) error) ([]byte, error) {
	var text bytes.Buffer
	body, err := armor.Encode(&text, kind, map[string]string{"Comment": marking})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(write(body), body.Close()); err != nil {
		return nil, err
	}
	text.WriteString("\n")
	return text.Bytes(), nil
}

func (k pgpKey) fingerprint() string {
	return strings.ToUpper(hex.EncodeToString(k.entity.PrimaryKey.Fingerprint))
}

func (k pgpKey) rule() string { return "pgp: " + k.fingerprint() }

func (k pgpKey) seal(dataKey []byte) (keys.MasterKey, error) {
	message, err := armored("PGP MESSAGE", func(w io.Writer) error {
		plain, err := openpgp.Encrypt(w, []*openpgp.Entity{k.entity}, nil, &openpgp.FileHints{IsBinary: true}, nil)
		if err != nil {
			return err
		}
		_, err = plain.Write(dataKey)
		return errors.Join(err, plain.Close())
	})
	if err != nil {
		return nil, err
	}
	return &sopspgp.MasterKey{
		Fingerprint:  k.fingerprint(),
		EncryptedKey: string(message),
		CreationDate: time.Now().UTC(),
	}, nil
}

func (k pgpKey) open(group sops.KeyGroup) ([]byte, error) {
	for _, candidate := range group {
		master, ok := candidate.(*sopspgp.MasterKey)
		if !ok || master.Fingerprint != k.fingerprint() {
			continue
		}
		block, err := armor.Decode(strings.NewReader(master.EncryptedKey))
		if err != nil {
			return nil, err
		}
		message, err := openpgp.ReadMessage(block.Body, openpgp.EntityList{k.entity}, nil, nil)
		if err != nil {
			return nil, err
		}
		return io.ReadAll(message.UnverifiedBody)
	}
	return nil, fmt.Errorf("the file is not encrypted to %s", k.fingerprint())
}
