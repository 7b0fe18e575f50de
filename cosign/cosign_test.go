package cosign_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/registry/remote/auth"

	"coin.internal/coin-agent/cosign"
	"coin.internal/coin-agent/cosign/cosigntest"
	"coin.internal/coin-agent/internal/fault"
)

const signPredicate = "https://sigstore.dev/cosign/sign/v1"

func load(t *testing.T, files ...string) []cosign.Key {
	t.Helper()
	keys, err := cosign.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// verify compares who signed an image, or why it is refused.
func verify(t *testing.T, in *cosigntest.Repository, of digest.Digest, want string, files ...string) {
	t.Helper()
	image := cosign.ParseImage(in.Name + ":1@" + of.String())
	key, err := cosign.Options{}.Verify(t.Context(), image, load(t, files...))
	switch {
	case err == nil && key.File != want:
		t.Errorf("signed by %q, want %q", key.File, want)
	case err != nil && (!errors.As(err, new(*cosign.Refused)) || !strings.Contains(err.Error(), want)):
		t.Errorf("got %v, want %q", err, want)
	}
}

// TestVerify looks for signatures of each form and kind of key, as the cosign command makes
// them, in a real registry.
func TestVerify(t *testing.T) {
	t.Parallel()
	host := cosigntest.Registry(t)
	for _, kind := range []string{"ecdsa", "rsa", "ed25519"} {
		key, other := cosigntest.NewKey(t, kind), cosigntest.NewKey(t, "ecdsa")
		in := cosigntest.Open(t, host+"/coin/"+kind, auth.Credential{})
		simple, bundled, unsigned := in.Image("1", "simple"), in.Image("2", "bundle"), in.Image("3", "unsigned")
		key.Sign(in, simple)
		key.SignBundle(in, bundled)
		verify(t, in, simple, key.File, other.File, key.File)
		verify(t, in, bundled, key.File, key.File)
		verify(t, in, simple, "is signed, and not by a listed key", other.File)
		verify(t, in, bundled, "is signed, and not by a listed key", other.File)
		verify(t, in, unsigned, "is not signed", key.File)
		verify(t, in, digest.FromString("nowhere"), "is not signed", key.File)
		other.SignBundle(in, simple) // one of several is enough
		verify(t, in, simple, other.File, other.File)
	}
}

// TestIndex looks for the signature of an image for several platforms: it is that of the index,
// whose digest the engine gives for the tag, and a platform's image alone has none.
func TestIndex(t *testing.T) {
	t.Parallel()
	key := cosigntest.NewKey(t, "ecdsa")
	in := cosigntest.Open(t, cosigntest.Registry(t)+"/coin/both", auth.Credential{})
	index, platforms := in.Index("1", "both")
	for name, sign := range map[string]func(*cosigntest.Repository, digest.Digest){"simple": key.Sign, "bundle": key.SignBundle} {
		verify(t, in, index, "is not signed", key.File)
		sign(in, index)
		verify(t, in, index, key.File, key.File)
		for _, one := range platforms {
			verify(t, in, one, "is not signed", key.File)
		}
		index, platforms = in.Index("2", "another, after the "+name)
	}
}

// TestForgeries shows an image signatures that do not count.
func TestForgeries(t *testing.T) {
	t.Parallel()
	host := cosigntest.Registry(t)
	key, eve := cosigntest.NewKey(t, "ecdsa"), cosigntest.NewKey(t, "ecdsa")
	in := cosigntest.Open(t, host+"/coin/app", auth.Credential{})
	good, attack := in.Image("good", "good"), in.Image("attack", "attack")
	key.Sign(in, good)
	simple := func(payload []byte, by *cosigntest.Key) func() {
		return func() { in.Attach(attack, cosigntest.Signed{Payload: payload, Signature: by.Make(payload)}) }
	}
	ofGood, ofAttack := cosigntest.Payload(t, in.Name, good), cosigntest.Payload(t, in.Name, attack)
	many := make([]cosigntest.Signed, 101)
	for i := range many {
		many[i] = cosigntest.Signed{Payload: ofAttack, Signature: eve.Make(ofAttack)}
	}
	for _, forged := range []struct {
		name, want string
		make       func()
	}{
		{"the digest is swapped", "for another image: " + good.String(), simple(ofGood, key)},
		{"the payload is tampered with", "not by a listed key", func() {
			in.Attach(attack, cosigntest.Signed{Payload: ofAttack, Signature: key.Make(ofGood)})
		}},
		{"another repository", "for another name: " + host + "/coin/other", simple(cosigntest.Payload(t, host+"/coin/other", attack), key)},
		{"another tag", "for another name", simple(cosigntest.Payload(t, in.Name+":2", attack), key)},
		{"no name", "for another name", simple(cosigntest.Payload(t, "", attack), key)},
		{"another kind of payload", "not the signature of an image", simple([]byte(`{"critical": {"type": "atomic container signature"}}`), key)},
		{"no base64", "not base64", func() { in.Attach(attack, cosigntest.Signed{Payload: ofAttack, Signature: "?"}) }},
		{"a huge payload", "more than 1048576 bytes", simple(append(ofAttack, strings.Repeat(" ", 1<<20)...), key)},
		{"endless signatures", "not by a listed key", func() { in.Attach(attack, many...) }},
		{"a key that is not listed", "not by a listed key", simple(ofAttack, eve)},
	} {
		forged.make()
		t.Run(forged.name, func(t *testing.T) { verify(t, in, attack, forged.want, key.File) })
	}
}

// TestForgedBundles shows images bundles that do not count.
func TestForgedBundles(t *testing.T) {
	t.Parallel()
	key := cosigntest.NewKey(t, "ecdsa")
	in := cosigntest.Open(t, cosigntest.Registry(t)+"/coin/app", auth.Credential{})
	good := in.Image("good", "good")
	ofGood := string(key.Bundle(cosigntest.Statement(signPredicate, "", good)))
	bundle := func(predicate, name string) func(digest.Digest) []byte {
		return func(of digest.Digest) []byte { return key.Bundle(cosigntest.Statement(predicate, name, of)) }
	}
	text := func(text string) func(digest.Digest) []byte {
		return func(digest.Digest) []byte { return []byte(text) }
	}
	for want, forged := range map[string]func(digest.Digest) []byte{
		"for another image": text(ofGood),
		"not the signature of an image: https://spdx.dev/Document": bundle("https://spdx.dev/Document", ""),
		"for another name: registry/other":                         bundle(signPredicate, "registry/other"),
		"not by a listed key":                                      text(strings.Replace(ofGood, `"payload":"e`, `"payload":"f`, 1)),
		"not a bundle with a DSSE envelope":                        text(`{"messageSignature": {}}`),
		"does not have one signature":                              text(`{"dsseEnvelope": {"payload": "", "signatures": []}}`),
	} {
		t.Run(want, func(t *testing.T) {
			image := in.Image("attack", want)
			in.Refer(image, forged(image))
			verify(t, in, image, want, key.File)
		})
	}
}

// TestCopiedSignature copies an image with its signature to another repository.
func TestCopiedSignature(t *testing.T) {
	t.Parallel()
	host := cosigntest.Registry(t)
	key := cosigntest.NewKey(t, "ecdsa")
	from, to := cosigntest.Open(t, host+"/coin/app", auth.Credential{}), cosigntest.Open(t, host+"/coin/copy", auth.Credential{})
	image := from.Image("1", "app")
	if copied := to.Image("1", "app"); copied != image {
		t.Fatal("the copy has another digest")
	}
	payload := cosigntest.Payload(t, from.Name, image)
	to.Attach(image, cosigntest.Signed{Payload: payload, Signature: key.Make(payload)})
	verify(t, to, image, "for another name: "+from.Name, key.File)
}

// TestDigestless gives images whose digest is not known.
func TestDigestless(t *testing.T) {
	t.Parallel()
	host := cosigntest.Registry(t)
	key := load(t, cosigntest.NewKey(t, "ecdsa").File)
	in := cosigntest.Open(t, host+"/coin/app", auth.Credential{})
	in.Image("1", "app")
	if _, err := (cosign.Options{}).Verify(t.Context(), cosign.ParseImage(in.Name+":1"), key); !errors.Is(err, cosign.ErrUndigested) {
		t.Errorf("its digest may be found out: got %v", err)
	}
	for image, want := range map[string]string{
		in.Name + ":2":                    "is not in its registry",
		digest.FromString("id").Encoded(): "is an image ID",
	} {
		if _, err := (cosign.Options{}).Verify(t.Context(), cosign.ParseImage(image), key); !errors.As(err, new(*cosign.Refused)) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", image, err, want)
		}
	}
}

// TestLoad reads files that have no key that could be used.
func TestLoad(t *testing.T) {
	t.Parallel()
	public, err := os.ReadFile(cosigntest.NewKey(t, "ecdsa").File)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		content, want string
		mode          os.FileMode
	}{
		"empty":   {"", "does not have a public key", 0o600},
		"private": {"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n", "does not have a public key", 0o600},
		"damaged": {strings.Replace(string(public), "M", "N", 1), "does not have a public key", 0o600},
		"two":     {string(public) + string(public), "more than one key", 0o600},
		"open":    {string(public), "other users can change the keys that sign images", 0o622},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "cosign.pub")
			if err := os.WriteFile(file, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, test.mode); err != nil {
				t.Fatal(err)
			}
			if _, err := cosign.Load([]string{file}); err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), file) || fault.Hint(err) == "" {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if _, err := cosign.Load([]string{filepath.Join(t.TempDir(), "gone.pub")}); err == nil || fault.Hint(err) == "" {
		t.Errorf("a file that is gone: %v", err)
	}
}
