package secrets

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/keyservice"
	sopspgp "github.com/getsops/sops/v3/pgp"
	"google.golang.org/grpc"

	"coin.internal/coin-agent/internal/fault"
)

// encrypter is the key service that encrypts the data key of a new file for its recipients. PGP
// uses the public part of the ring's keys, else gpg with the user's keys, as sops does.
type encrypter struct {
	ring   *Keyring
	failed string // the recipient that it could not encrypt for
}

var _ keyservice.KeyServiceClient = &encrypter{}

// Encrypt encrypts a data key for one recipient.
func (e *encrypter) Encrypt(ctx context.Context, request *keyservice.EncryptRequest, _ ...grpc.CallOption) (*keyservice.EncryptResponse, error) {
	var sealed []byte
	var err error
	switch key := request.Key.KeyType.(type) {
	case *keyservice.Key_AgeKey:
		sealed, err = sealAge(key.AgeKey.Recipient, request.Plaintext)
		e.note("age "+key.AgeKey.Recipient, err)
	case *keyservice.Key_PgpKey:
		sealed, err = e.sealPGP(ctx, key.PgpKey.Fingerprint, request.Plaintext)
		e.note("PGP "+key.PgpKey.Fingerprint, err)
	default:
		err = errKeyRefused
	}
	if err != nil {
		return nil, errKeyRefused
	}
	return &keyservice.EncryptResponse{Ciphertext: sealed}, nil
}

// Decrypt returns an error, because this service only encrypts.
func (e *encrypter) Decrypt(context.Context, *keyservice.DecryptRequest, ...grpc.CallOption) (*keyservice.DecryptResponse, error) {
	return nil, errKeyRefused
}

func (e *encrypter) note(recipient string, err error) {
	if err != nil && e.failed == "" {
		e.failed = recipient
	}
}

// fault says for which recipient the data key could not be encrypted.
func (e *encrypter) fault(name string, rule *config.Config) error {
	hint := "correct the rule in .sops.yaml"
	if strings.HasPrefix(e.failed, "PGP ") {
		hint = "import the public key: gpg --import FILE; or name the secret key with --pgp-key-files"
	}
	what := e.failed
	if what == "" {
		what = fmt.Sprintf("the %d key groups of the rule", len(rule.KeyGroups))
	}
	return fault.New(fault.Place{File: name}, hint, "the new file cannot be encrypted for %s", what)
}

func sealAge(recipient string, plain []byte) ([]byte, error) {
	key, err := sopsage.MasterKeyFromRecipient(recipient)
	if err != nil {
		return nil, err
	}
	err = key.Encrypt(plain)
	return key.EncryptedDataKey(), err
}

func (e *encrypter) sealPGP(ctx context.Context, fingerprint string, plain []byte) ([]byte, error) {
	if e.ring != nil {
		for _, entity := range e.ring.pgps {
			if strings.EqualFold(hex.EncodeToString(entity.PrimaryKey.Fingerprint), fingerprint) {
				return sealOpenPGP(entity, plain)
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, remoteTimeout)
	defer cancel()
	key := sopspgp.NewMasterKeyFromFingerprint(fingerprint)
	err := key.EncryptContext(ctx, plain)
	return key.EncryptedDataKey(), err
}

func sealOpenPGP(entity *openpgp.Entity, plain []byte) ([]byte, error) {
	var text bytes.Buffer
	armored, err := armor.Encode(&text, "PGP MESSAGE", nil)
	if err != nil {
		return nil, err
	}
	message, err := openpgp.Encrypt(armored, []*openpgp.Entity{entity}, nil, &openpgp.FileHints{IsBinary: true}, nil)
	if err != nil {
		return nil, err
	}
	if _, err := message.Write(plain); err != nil {
		return nil, err
	}
	if err := errors.Join(message.Close(), armored.Close()); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

func sortedKeys[V any](all map[string]V) []string { return slices.Sorted(maps.Keys(all)) }

// In reports whether a text contains the value. A short value is in many texts by chance: it
// never counts.
func (v Value) In(text []byte) bool {
	const least = 8
	value := bytes.TrimSpace(v.Reveal())
	return len(value) >= least && bytes.Contains(text, value)
}
