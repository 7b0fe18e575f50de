package secrets_test

import (
	"bytes"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/secrets"
)

// keyMessage matches the encrypted data key in a YAML file for a PGP recipient.
var keyMessage = regexp.MustCompile(`(?s)( +)-----BEGIN PGP MESSAGE-----.*-----END PGP MESSAGE-----`)

// TestInflatingDataKey replaces the data key of a file by a message of the same recipient
// that inflates. The keys of files and a GnuPG home both refuse it.
func TestInflatingDataKey(t *testing.T) {
	zeros, bomb := t.TempDir()+"/zeros", t.TempDir()+"/bomb"
	if err := os.WriteFile(zeros, make([]byte, 64<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, recipient := range map[string]struct {
		fingerprint string
		keys        secrets.KeyFiles
	}{
		"key file":   {lab.pgp, secrets.KeyFiles{PGP: []string{lab.path("rsa.asc")}}},
		"GnuPG home": {lab.curvePGP, secrets.KeyFiles{GnuPGHome: lab.home}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := lab.run("gpg", "--homedir", lab.gnupg, "--batch", "--yes", "--trust-model", "always", "--recipient", recipient.fingerprint,
				"--armor", "--compress-algo", "bzip2", "--output", bomb, "--encrypt", zeros)
			if err != nil {
				t.Fatal(err)
			}
			message, err := os.ReadFile(bomb)
			if err != nil || len(message) > 4<<10 {
				t.Fatalf("a message of %d bytes, %v", len(message), err)
			}
			plain := t.TempDir() + "/plain.yaml"
			if err := os.WriteFile(plain, []byte("a: b\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			data, err := lab.run(lab.sops, "-e", "--pgp", recipient.fingerprint, plain)
			if err != nil {
				t.Fatal(err)
			}
			data = keyMessage.ReplaceAllFunc(data, func(match []byte) []byte {
				indent := keyMessage.FindSubmatch(match)[1]
				return bytes.TrimRight(append(indent, bytes.ReplaceAll(message, []byte("\n"), append([]byte("\n"), indent...))...), " \n")
			})
			_, err = load(t, recipient.keys).Open([]secrets.File{{Path: "n/secrets.enc", Data: data}}, secrets.Options{})
			if !errors.Is(err, limits.ErrExceeded) || !strings.Contains(err.Error(), "n/secrets.enc: the decrypted PGP message has more than 64KiB: limits.pgp_bytes allows 64KiB") || fault.Hint(err) == "" {
				t.Errorf("got %v", err)
			}
		})
	}
}

// recipientEntry matches the only age recipient of a JSON file.
var recipientEntry = regexp.MustCompile(`(?s)(\{\s*"enc": "-----BEGIN AGE[^}]*\})`)

// TestRecipients refuses a file with more recipients than the agent would ask for.
func TestRecipients(t *testing.T) {
	data := testFiles(t)["testdata/json.enc"]
	many := recipientEntry.ReplaceAllFunc(data, func(match []byte) []byte {
		entry := recipientEntry.FindSubmatch(match)[1]
		return append(bytes.Repeat(append(bytes.Clone(entry), ','), 99), entry...)
	})
	_, err := testKeys(t).Open([]secrets.File{{Path: "n/secrets.enc", Data: many}}, secrets.Options{})
	if !errors.Is(err, limits.ErrExceeded) || !strings.Contains(err.Error(), "the number of recipients and their groups is 101: limits.recipients allows 100") {
		t.Errorf("got %v", err)
	}
}
