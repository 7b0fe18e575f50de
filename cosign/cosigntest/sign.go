package cosigntest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/dsse"
	"github.com/sigstore/sigstore/pkg/signature/payload"
)

// The media types that the cosign command uses.
const (
	simpleType = "application/vnd.dev.cosign.simplesigning.v1+json"
	bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

func bytesOf(text []byte) io.Reader { return bytes.NewReader(text) }

// Key signs images.
type Key struct {
	File string // its public key, in PEM form

	tb     testing.TB
	signer signature.Signer
}

// NewKey makes a key: ecdsa, as the cosign command does, rsa or ed25519.
func NewKey(tb testing.TB, kind string) *Key {
	tb.Helper()
	var private crypto.PrivateKey
	var err error
	switch kind {
	case "rsa":
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ed25519":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := signature.LoadSigner(private, crypto.SHA256)
	if err != nil {
		tb.Fatal(err)
	}
	public, err := signer.PublicKey()
	if err != nil {
		tb.Fatal(err)
	}
	text, err := cryptoutils.MarshalPublicKeyToPEM(public)
	if err != nil {
		tb.Fatal(err)
	}
	file := filepath.Join(tb.TempDir(), "cosign.pub")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		tb.Fatal(err)
	}
	return &Key{file, tb, signer}
}

// Payload is what the simple form signs: a name and a digest.
func Payload(tb testing.TB, name string, of digest.Digest) []byte {
	tb.Helper()
	text, err := json.Marshal(payload.SimpleContainerImage{Critical: payload.Critical{
		Type: payload.CosignSignatureType, Identity: payload.Identity{DockerReference: name}, Image: payload.Image{DockerManifestDigest: of.String()},
	}})
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// Sign signs an image in the simple form, as `cosign sign` did before its version 3.
func (k *Key) Sign(in *Repository, of digest.Digest) {
	k.tb.Helper()
	text := Payload(k.tb, in.Name, of)
	in.Attach(of, Signed{text, k.Make(text)})
}

// Make signs a text.
func (k *Key) Make(text []byte) string {
	k.tb.Helper()
	made, err := k.signer.SignMessage(bytesOf(text))
	if err != nil {
		k.tb.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(made)
}

// Signed is a payload with its signature.
type Signed struct {
	Payload   []byte
	Signature string
}

// Attach pushes signatures of the simple form, in place of those that the image had.
func (r *Repository) Attach(to digest.Digest, all ...Signed) {
	r.tb.Helper()
	manifest := ocispec.Manifest{Config: r.Blob(ocispec.MediaTypeImageConfig, []byte("{}"))}
	for _, one := range all {
		layer := r.Blob(simpleType, one.Payload)
		layer.Annotations = map[string]string{"dev.cosignproject.cosign/signature": one.Signature}
		manifest.Layers = append(manifest.Layers, layer)
	}
	r.Manifest("sha256-"+to.Encoded()+".sig", manifest)
}

// Statement is what the newer form signs.
func Statement(predicate, name string, of digest.Digest) []byte {
	subject := map[string]any{"digest": map[string]string{"sha256": of.Encoded()}}
	if name != "" {
		subject["name"] = name
	}
	text, _ := json.Marshal(map[string]any{"_type": "https://in-toto.io/Statement/v1", "predicateType": predicate, "subject": []any{subject}}) // of texts
	return text
}

// SignBundle signs an image in the newer form, as cosign's version 3 does.
func (k *Key) SignBundle(in *Repository, of digest.Digest) {
	k.tb.Helper()
	in.Refer(of, k.Bundle(Statement("https://sigstore.dev/cosign/sign/v1", "", of)))
}

// Bundle signs a statement.
func (k *Key) Bundle(statement []byte) []byte {
	k.tb.Helper()
	envelope, err := dsse.WrapSigner(k.signer, "application/vnd.in-toto+json").SignMessage(bytesOf(statement))
	if err != nil {
		k.tb.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{
		"mediaType": bundleType, "dsseEnvelope": json.RawMessage(envelope),
		"verificationMaterial": map[string]any{"publicKey": map[string]string{"hint": "test"}},
	})
	if err != nil {
		k.tb.Fatal(err)
	}
	return text
}

// Refer pushes a bundle that refers to an image.
func (r *Repository) Refer(to digest.Digest, bundle []byte) {
	r.tb.Helper()
	r.ReferAs(to, "", bundle)
}

// ReferAs pushes bundles that refer to an image, and says of which type their statements are.
func (r *Repository) ReferAs(to digest.Digest, predicate string, bundles ...[]byte) {
	r.tb.Helper()
	described, err := r.remote.Resolve(r.tb.Context(), to.String())
	if err != nil {
		r.tb.Fatal(err)
	}
	manifest := ocispec.Manifest{ArtifactType: bundleType, Config: r.Blob(ocispec.MediaTypeEmptyJSON, []byte("{}")), Subject: &described}
	for _, bundle := range bundles {
		manifest.Layers = append(manifest.Layers, r.Blob(bundleType, bundle))
	}
	if predicate != "" {
		manifest.Annotations = map[string]string{"dev.sigstore.bundle.predicateType": predicate}
	}
	r.Manifest("", manifest)
}
