// Package cosign says who signed an image: it takes the image's digest, the public keys of
// those who may sign, and a login for the registry, and gives the key, or a Refused error with
// the reason. It guarantees that nothing is accepted but a signature that a listed key made
// over this digest, for this repository where the signature names one.
package cosign

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/keyfile"
)

// Key is the public key of a person or pipeline that may sign images.
type Key struct {
	File        string
	Fingerprint string // of the key itself

	verifiers []signature.Verifier // one for each digest that cosign signs with such a key
}

// shortRSA is the number of bytes of an RSA key that is too short.
const shortRSA = 2048/8 - 1

// Load reads files with one public key each, as `cosign generate-key-pair` and `cosign
// public-key` write them: ECDSA, RSA or Ed25519 in PEM form. A file that other users may
// write is an error.
func Load(files []string) ([]Key, error) {
	var keys []Key
	for _, name := range files {
		content, err := keyfile.Read(name, keyfile.Of{Keys: "the keys that sign images", Setting: "policy.images.signatures"})
		if err != nil {
			return nil, err
		}
		key, err := parse(name, content)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func parse(name string, content []byte) (Key, error) {
	place := fault.Place{File: name}
	const hint = "write the public key into the file: cosign public-key --key cosign.key"
	_, rest := pem.Decode(content)
	if len(bytes.TrimSpace(rest)) > 0 && len(rest) < len(content) {
		return Key{}, fault.New(place, "write each key into a file of its own, and list the files", "the file has more than one key")
	}
	public, err := cryptoutils.UnmarshalPEMToPublicKey(content)
	if err != nil {
		return Key{}, fault.New(place, hint, "the file does not have a public key in PEM form")
	}
	if short, ok := public.(*rsa.PublicKey); ok && short.Size() <= shortRSA {
		return Key{}, fault.New(place, "make a longer key, and sign the images with it", "the RSA key is shorter than 2048 bits")
	}
	encoded, err := cryptoutils.MarshalPublicKeyToDER(public)
	if err != nil {
		return Key{}, fault.New(place, hint, "the key cannot be used: %w", err)
	}
	sum := sha256.Sum256(encoded)
	key := Key{File: name, Fingerprint: "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])}
	if key.verifiers, err = verifiersOf(public); err != nil {
		return Key{}, fault.New(place, "use an ECDSA, RSA or Ed25519 key", "the key cannot be used: %w", err)
	}
	return key, nil
}

// verifiersOf gives the verifiers for the signatures that cosign makes with a key: over SHA-256,
// over the digest that belongs to the key, and for Ed25519 over the message or its digest.
func verifiersOf(public crypto.PublicKey) ([]signature.Verifier, error) {
	plain, err := signature.LoadVerifier(public, crypto.SHA256)
	if err != nil {
		return nil, err
	}
	other, err := signature.LoadDefaultVerifier(public)
	if _, edwards := public.(ed25519.PublicKey); edwards {
		other, err = signature.LoadVerifierWithOpts(public, options.WithED25519ph())
	}
	if err != nil { // a curve or length without a default
		return []signature.Verifier{plain}, nil
	}
	return []signature.Verifier{plain, other}, nil
}

// signed reports whether the key made a signature of a message.
func (k *Key) signed(message, made []byte) bool {
	for _, verifier := range k.verifiers {
		if verifier.VerifySignature(bytes.NewReader(made), bytes.NewReader(message)) == nil {
			return true
		}
	}
	return false
}
