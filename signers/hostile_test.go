package signers_test

import (
	"encoding/pem"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/crypto/ssh"

	"coin.internal/coin-agent/internal/signtest"
	"coin.internal/coin-agent/signers"
)

// What a signature says of itself is shown without its control characters.
func TestHostileSignature(t *testing.T) {
	ada := signtest.SSH(t, "ed25519")
	ring := load(t, signers.Files{SSH: []string{signtest.File(t, "* "+ada.Public)}})
	type blob struct {
		Version                              uint32
		Key, Namespace, Reserved, Hash, Data string
	}
	evil := string(ssh.Marshal(struct{ Algorithm string }{"evil\x1b[2K\nline"}))
	listed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(ada.Public))
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]string{"of a key": evil, "of a listed key": string(listed.Marshal())} {
		data := ssh.Marshal(struct{ Format, Blob string }{"evil\x1b[2K\nline", "x"})
		body := append([]byte("SSHSIG"), ssh.Marshal(blob{1, key, "git", "", "sha512", string(data)})...)
		o := signers.Object{Name: "commit c", Payload: []byte("x"), Signature: string(pem.EncodeToMemory(&pem.Block{Type: "SSH SIGNATURE", Bytes: body}))}
		if _, err := ring.Verify(o, time.Now()); err == nil || strings.ContainsFunc(err.Error(), unicode.IsControl) || !strings.Contains(err.Error(), "evil") {
			t.Errorf("%s: %q", name, err)
		}
	}
}

// No signature is accepted but the one that was made, and none ends the agent.
func FuzzVerify(f *testing.F) {
	ada, bob := signtest.OpenPGP(f, "Ada <ada@coin.example>", "never", time.Time{}), signtest.SSH(f, "ed25519")
	payload := []byte("tree\n")
	ring, err := signers.Load(signers.Files{OpenPGP: []string{signtest.File(f, ada.Public)}, SSH: []string{signtest.File(f, "* "+bob.Public)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload, ada.GPG("--armor", "--output", "-", "--detach-sign", signtest.File(f, "tree")))
	f.Add(payload, bob.SignFile(f, payload, "git"))
	f.Fuzz(func(t *testing.T, changed []byte, signature string) {
		who, err := ring.Verify(signers.Object{Name: "commit c", Payload: changed, Signature: signature, Email: "ada@coin.example"}, time.Now())
		if err == nil && string(changed) != string(payload) {
			t.Errorf("%s signed %q by %q", who, changed, signature)
		}
	})
}
