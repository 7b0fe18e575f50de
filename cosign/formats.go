package cosign

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"

	securedsse "github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/sigstore/sigstore/pkg/signature/dsse"
	"github.com/sigstore/sigstore/pkg/signature/payload"

	"coin.internal/coin-agent/internal/oneline"
)

const (
	// annotation is what a layer of the simple form has its signature in.
	annotation = "dev.cosignproject.cosign/signature"

	// signatureType is the type of the simple form where it refers to the image.
	signatureType = "application/vnd.dev.cosign.artifact.sig.v1+json"

	// The newer form is a bundle with a statement.
	bundleType    = "application/vnd.dev.sigstore.bundle"
	statementType = "application/vnd.in-toto+json"

	// signPredicate says that a statement is a signature. Other statements are about what is in
	// the image, such as a list of its packages, and do not vouch for it.
	signPredicate = "https://sigstore.dev/cosign/sign/v1"

	// predicateAnnotation is what a bundle's manifest has the type of its statement in.
	predicateAnnotation = "dev.sigstore.bundle.predicateType"
)

// attests reports whether an artifact says of itself that it has a statement other than a
// signature. It is neither read nor counted.
func attests(annotations map[string]string) bool {
	predicate := annotations[predicateAnnotation]
	return predicate != "" && predicate != signPredicate
}

// signs reports whether an artifact of a type may have signatures.
func signs(artifact string) bool { return artifact == signatureType || isBundle(artifact) }

func isBundle(mediaType string) bool { return strings.HasPrefix(mediaType, bundleType) }

// decode reads JSON.
func decode[T any](text []byte) (value T, ok bool) {
	return value, json.Unmarshal(text, &value) == nil
}

// simple judges a signature of the simple form: over a payload that names digest and repository.
func (s *search) simple(signed []byte, made string) {
	raw, err := base64.StdEncoding.DecodeString(made)
	if err != nil {
		s.note(unreadable, "has a signature that is not base64")
		return
	}
	key := s.signer(func(key *Key) bool { return key.signed(signed, raw) })
	if key == nil {
		return
	}
	claim, ok := decode[payload.SimpleContainerImage](signed)
	critical := claim.Critical
	switch {
	case !ok || critical.Type != payload.CosignSignatureType:
		s.note(foreign, "has something that %s signed, which is not the signature of an image", key.File)
	case critical.Image.DockerManifestDigest != s.image.Digest.String():
		s.note(foreign, "has a signature by %s for another image: %s", key.File, shown(critical.Image.DockerManifestDigest))
	case !s.image.is(critical.Identity.DockerReference):
		s.note(foreign, "has a signature by %s for another name: %s", key.File, shown(critical.Identity.DockerReference))
	default:
		s.found = key
	}
}

// statement is what the newer form signs.
type statement struct {
	PredicateType string `json:"predicateType"`
	Subject       []struct {
		Name   string            `json:"name"`
		Digest map[string]string `json:"digest"`
	} `json:"subject"`
}

// bundle judges a signature of the newer form. cosign leaves the subject's name empty, so that
// the digest alone is signed.
func (s *search) bundle(text []byte) {
	bundle, ok := decode[struct {
		Envelope json.RawMessage `json:"dsseEnvelope"`
	}](text)
	if !ok || len(bundle.Envelope) == 0 {
		s.note(unreadable, "has a signature that is not a bundle with a DSSE envelope")
		return
	}
	if envelope, ok := decode[securedsse.Envelope](bundle.Envelope); !ok || len(envelope.Signatures) != 1 {
		s.note(unreadable, "has a bundle that does not have one signature")
		return
	}
	var signed []byte
	key := s.signer(func(key *Key) bool {
		for _, verifier := range key.verifiers {
			wrapped := dsse.WrapVerifier(verifier, dsse.WithExpectedPayloadType(statementType), dsse.WithDecodedPayload(&signed))
			if wrapped.VerifySignature(bytes.NewReader(bundle.Envelope), nil) == nil {
				return true
			}
		}
		return false
	})
	if key == nil {
		return
	}
	claim, ok := decode[statement](signed)
	if !ok || claim.PredicateType != signPredicate {
		s.note(foreign, "has a statement by %s that is not the signature of an image: %s", key.File, shown(claim.PredicateType))
		return
	}
	for _, subject := range claim.Subject {
		same := subject.Digest[s.image.Digest.Algorithm().String()] == s.image.Digest.Encoded()
		switch {
		case same && (subject.Name == "" || s.image.is(subject.Name)):
			s.found = key
			return
		case same:
			s.note(foreign, "has a signature by %s for another name: %s", key.File, shown(subject.Name))
		default:
			s.note(foreign, "has a signature by %s for another image", key.File)
		}
	}
}

// signer gives the listed key that made a signature.
func (s *search) signer(made func(*Key) bool) *Key {
	for i := range s.keys {
		if made(&s.keys[i]) {
			return &s.keys[i]
		}
	}
	s.note(unlisted, "is signed, and not by a listed key")
	return nil
}

// shown gives a text from a registry for a message.
func shown(text string) string { return oneline.Cut(text, 200) }
