package signers

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/keyfile"
)

// openPGPRing has the OpenPGP keys.
type openPGPRing struct {
	entities openpgp.EntityList
	files    []string // of the entities
}

// add reads the public keys of a file: armored blocks, or packets.
func (r *openPGPRing) add(name string, content []byte) error {
	found, err := keyfile.OpenPGP(content)
	place := fault.Place{File: name}
	if err != nil {
		return fault.New(place, "write the output of gpg --armor --export KEY… into the file", "read the OpenPGP keys of signers: %w", err)
	}
	if len(found) == 0 {
		return fault.New(place, "write the output of gpg --armor --export KEY… into the file", "the file has no OpenPGP key")
	}
	for _, one := range found {
		if one.PrivateKey != nil {
			return fault.New(place, "export only public keys: gpg --armor --export KEY…", "the file has a secret key: who reads it can sign")
		}
		r.entities, r.files = append(r.entities, one), append(r.files, name)
	}
	return nil
}

func (r *openPGPRing) keys() []Key {
	keys := make([]Key, 0, len(r.entities))
	for i, one := range r.entities {
		keys = append(keys, Key{Name: nameOf(one), File: r.files[i], Expires: expiry(one)})
	}
	return keys
}

// nameOf gives the name of a key's owner, and the key's ID as gpg --keyid-format long shows
// it.
func nameOf(one *openpgp.Entity) string {
	id := one.PrimaryKey.KeyIdString()
	if identity := one.PrimaryIdentity(); identity != nil {
		return fmt.Sprintf("%s (%s)", identity.Name, id)
	}
	return id
}

// expiry gives when a key can no longer sign: when its primary key expires, or the last of
// its signing keys.
func expiry(one *openpgp.Entity) time.Time {
	self, _ := one.PrimarySelfSignature()
	primary := ends(one.PrimaryKey, self)
	last, signs := primary, self != nil && self.FlagsValid && self.FlagSign
	for _, sub := range one.Subkeys {
		if sub.Sig == nil || !sub.Sig.FlagSign || signs && last.IsZero() {
			continue
		}
		if end := ends(sub.PublicKey, sub.Sig); !signs || end.IsZero() || end.After(last) {
			last, signs = end, true
		}
	}
	if last.IsZero() || !primary.IsZero() && primary.Before(last) {
		return primary
	}
	return last
}

func ends(key *packet.PublicKey, self *packet.Signature) time.Time {
	if self == nil || self.KeyLifetimeSecs == nil || *self.KeyLifetimeSecs == 0 {
		return time.Time{}
	}
	return key.CreationTime.Add(time.Duration(*self.KeyLifetimeSecs) * time.Second)
}

// skew is how far a signer's clock may be ahead of the node's.
const skew = 5 * time.Minute

// verify gives the signer; an error continues a sentence that starts with the object.
func (r *openPGPRing) verify(o Object, now time.Time) (string, error) {
	body, signature, err := readSignature(o.Signature)
	if err != nil {
		return "", fmt.Errorf("has an OpenPGP signature that cannot be read: %s", said(err))
	}
	switch {
	case signature.IssuerKeyId == nil:
		return "", errors.New("has an OpenPGP signature that does not name a key")
	case signature.SigType != packet.SigTypeBinary:
		return "", errors.New("has an OpenPGP signature that is not one of bytes")
	case !strong(signature.Hash):
		return "", fmt.Errorf("has an OpenPGP signature with the weak digest %s", signature.Hash)
	}
	if ahead := signature.CreationTime.Sub(now); ahead > 0 && ahead <= skew {
		now = signature.CreationTime // a later time only makes more keys expire
	}
	config := &packet.Config{Time: func() time.Time { return now }}
	signer, err := r.signer(o.Payload, body, config)
	switch {
	case errors.Is(err, pgperrors.ErrUnknownIssuer):
		return "", fmt.Errorf("is signed by the OpenPGP key %016X, which policy.signers does not list", *signature.IssuerKeyId)
	case signer == nil:
		return "", fmt.Errorf("has an invalid signature of %s: %s", r.whose(*signature.IssuerKeyId), said(err))
	case errors.Is(err, pgperrors.ErrKeyExpired):
		return "", fmt.Errorf("is signed by %s, whose key has expired, or is of the future", nameOf(signer))
	case errors.Is(err, pgperrors.ErrSignatureExpired):
		return "", fmt.Errorf("is signed by %s with a signature that has expired, or is of the future", nameOf(signer))
	case errors.Is(err, pgperrors.ErrKeyRevoked):
		return "", fmt.Errorf("is signed by %s, whose key is revoked", nameOf(signer))
	case err != nil:
		return "", fmt.Errorf("has an invalid signature of %s: %s", nameOf(signer), said(err))
	}
	return nameOf(signer), nil
}

// signer gives whose key made a signature, and what is wrong with that. A file may have a key
// twice, as after a later export was appended: a revocation in any copy counts, then a copy that is
// valid.
func (r *openPGPRing) signer(payload, body []byte, config *packet.Config) (signer *openpgp.Entity, err error) {
	err = pgperrors.ErrUnknownIssuer
	for _, entity := range r.entities {
		_, one, why := openpgp.VerifyDetachedSignature(openpgp.EntityList{entity}, bytes.NewReader(payload), bytes.NewReader(body), config)
		switch {
		case errors.Is(why, pgperrors.ErrKeyRevoked):
			return one, why
		case why == nil, errors.Is(err, pgperrors.ErrUnknownIssuer):
			signer, err = one, why
		}
	}
	return signer, err
}

// readSignature reads the only signature of an armored text.
func readSignature(text string) (body []byte, signature *packet.Signature, err error) {
	if strings.Count(text, "-----BEGIN ") != 1 {
		return nil, nil, errors.New("there are several")
	}
	block, err := armor.Decode(strings.NewReader(text))
	if err != nil {
		return nil, nil, err
	}
	if body, err = io.ReadAll(block.Body); err != nil {
		return nil, nil, err
	}
	packets := packet.NewReader(bytes.NewReader(body))
	first, err := packets.Next()
	if err != nil {
		return nil, nil, err
	}
	signature, ok := first.(*packet.Signature)
	if _, err := packets.Next(); !ok || !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("it is not one signature")
	}
	return body, signature, nil
}

// strong reports whether a signature may be over a digest of this kind.
func strong(digest crypto.Hash) bool {
	var config *packet.Config
	return !config.RejectMessageHashAlgorithm(digest)
}

// whose names the owner of a key.
func (r *openPGPRing) whose(id uint64) string {
	for _, key := range r.entities.KeysById(id) {
		return nameOf(key.Entity)
	}
	return fmt.Sprintf("%016X", id)
}
