package secrets_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

func TestLoadKeysNamesTheirRecipients(t *testing.T) {
	keys := load(t, secrets.KeyFiles{
		Age: []string{lab.path("age.key"), lab.path("ssh.key")}, PGP: []string{lab.path("rsa.asc"), lab.path("locked.gpg")},
		PGPPassphrase: lab.path("passphrase"),
	})
	if diff := cmp.Diff([]string{lab.age, lab.ssh, lab.pgp, lab.lockedPGP}, secrets.Recipients(keys)); diff != "" {
		t.Errorf("recipients (-want +got):\n%s", diff)
	}
}

func TestLoadKeysReadsAllBlocks(t *testing.T) {
	both := keyFile(t, string(readLab(t, "rsa.asc"))+"\n"+string(readLab(t, "curve.asc")), 0o600)
	keys := load(t, secrets.KeyFiles{PGP: []string{both}})
	if diff := cmp.Diff([]string{lab.pgp, lab.curvePGP}, secrets.Recipients(keys)); diff != "" {
		t.Errorf("recipients (-want +got):\n%s", diff)
	}
}

func TestLoadKeysFaults(t *testing.T) {
	identity := string(readLab(t, "age.key"))
	secretLine := identity[strings.Index(identity, "AGE-SECRET-KEY-1"):]
	sshLocked := filepath.Join(t.TempDir(), "ssh")
	if _, err := lab.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "phrase", "-f", sshLocked); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		files         secrets.KeyFiles
		message, hint string
	}{
		"absent":            {secrets.KeyFiles{Age: []string{"/nowhere/key"}}, "no such file", "create the file"},
		"folder":            {secrets.KeyFiles{Age: []string{t.TempDir()}}, "not a regular file", "regular file"},
		"group may read":    {secrets.KeyFiles{Age: []string{keyFile(t, identity, 0o640)}}, "mode 0640", "chmod 600 /"},
		"others may read":   {secrets.KeyFiles{PGP: []string{keyFile(t, "x", 0o604)}}, "mode 0604", "chmod 600 /"},
		"open passphrase":   {secrets.KeyFiles{PGPPassphrase: keyFile(t, "x", 0o644)}, "mode 0644", "chmod 600 /"},
		"empty passphrase":  {secrets.KeyFiles{PGPPassphrase: keyFile(t, "\n", 0o600)}, "the passphrase file is empty", "write"},
		"empty age":         {secrets.KeyFiles{Age: []string{keyFile(t, "", 0o600)}}, "the key file is empty", "write"},
		"cut age":           {secrets.KeyFiles{Age: []string{keyFile(t, secretLine[:40], 0o600)}}, "malformed", "age-keygen"},
		"changed age":       {secrets.KeyFiles{Age: []string{keyFile(t, strings.Replace(secretLine, secretLine[30:34], "QQQQ", 1), 0o600)}}, "malformed", "age-keygen"},
		"age plugin":        {secrets.KeyFiles{Age: []string{keyFile(t, "AGE-PLUGIN-YUBIKEY-1QQQQ", 0o600)}}, "malformed", "age-keygen"},
		"age locked":        {secrets.KeyFiles{Age: []string{keyFile(t, "age-encryption.org/v1\n-> scrypt x\n", 0o600)}}, "passphrase", "unencrypted"},
		"age for pgp":       {secrets.KeyFiles{PGP: []string{keyFile(t, identity, 0o600)}}, "no readable OpenPGP key", "gpg --export"},
		"pgp public":        {secrets.KeyFiles{PGP: []string{lab.path("rsa.pub.asc")}}, "only public OpenPGP keys", "export-secret-keys"},
		"pgp cut":           {secrets.KeyFiles{PGP: []string{keyFile(t, string(readLab(t, "rsa.asc")[:900]), 0o600)}}, "no readable OpenPGP key", "gpg --export"},
		"pgp locked":        {secrets.KeyFiles{PGP: []string{lab.path("locked.asc")}}, lab.lockedPGP, "passphrase file"},
		"pgp wrong phrase":  {secrets.KeyFiles{PGP: []string{lab.path("locked.asc")}, PGPPassphrase: keyFile(t, canary, 0o600)}, "does not unlock", "passphrase"},
		"ssh locked":        {secrets.KeyFiles{Age: []string{sshLocked}}, "the SSH key has a passphrase", "without a passphrase"},
		"ssh cut":           {secrets.KeyFiles{Age: []string{keyFile(t, string(readLab(t, "ssh.key")[:120]), 0o600)}}, "no SSH private key", "ed25519"},
		"no GnuPG home":     {secrets.KeyFiles{GnuPGHome: "/nowhere/gnupg"}, "no such file", "gnupg_home"},
		"open GnuPG home":   {secrets.KeyFiles{GnuPGHome: openFolder(t)}, "mode 0750", "chmod 700 /"},
		"empty GnuPG home":  {secrets.KeyFiles{GnuPGHome: privateFolder(t)}, "no secret keys", "gpg --homedir"},
		"GnuPG home a file": {secrets.KeyFiles{GnuPGHome: keyFile(t, "x", 0o600)}, "not a folder", "gnupg_home"},
		"empty Vault token": {secrets.KeyFiles{Services: []string{"hc_vault"}, VaultAddress: "https://v.test", VaultToken: keyFile(t, "\n", 0o600)}, "the token file of the Vault is empty", "write"},
		"open Vault token":  {secrets.KeyFiles{Services: []string{"hc_vault"}, VaultAddress: "https://v.test", VaultToken: keyFile(t, canary, 0o640)}, "mode 0640", "chmod 600 /"},
		"age key too large": {secrets.KeyFiles{Age: []string{keyFile(t, strings.Repeat("#\n", 1<<20), 0o600)}}, "larger", ""},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := secrets.LoadKeys(test.files)
			if err == nil {
				t.Fatal("LoadKeys succeeded")
			}
			if !strings.Contains(err.Error(), test.message) || !strings.Contains(fault.Hint(err), test.hint) {
				t.Errorf("error %q, hint %q", err, fault.Hint(err))
			}
			paths := append(append(test.files.Age, test.files.PGP...), test.files.PGPPassphrase, test.files.GnuPGHome, test.files.VaultToken)
			path := strings.Fields(strings.Join(paths, " "))[0]
			if !strings.HasPrefix(err.Error(), path+": ") {
				t.Errorf("the error does not name the file: %v", err)
			}
			for _, hidden := range []string{canary, secretLine[20:36], "QQQQ"} {
				if strings.Contains(err.Error()+fault.Hint(err), hidden) {
					t.Errorf("the error quotes the key: %v", err)
				}
			}
		})
	}
}

// Services with settings must be allowed, and allowed services must have settings.
func TestKeyServicesFaults(t *testing.T) {
	token := keyFile(t, canary, 0o600)
	cases := map[string]struct {
		files         secrets.KeyFiles
		message, hint string
	}{
		"unknown":       {secrets.KeyFiles{Services: []string{"vault"}}, `unknown key service "vault"`, "use age, pgp, hc_vault"},
		"cloud":         {secrets.KeyFiles{Services: []string{"age", "aws_kms"}}, "AWS KMS (aws_kms) is not built into the agent", "remove aws_kms from key_services"},
		"age off":       {secrets.KeyFiles{Services: []string{"pgp"}, Age: []string{lab.path("age.key")}}, "does not list age", "add age to key_services"},
		"pgp off":       {secrets.KeyFiles{Services: []string{"age"}, PGP: []string{lab.path("rsa.asc")}}, "does not list pgp", "add pgp to key_services"},
		"gnupg off":     {secrets.KeyFiles{Services: []string{"age"}, GnuPGHome: lab.home}, "does not list pgp", "add pgp to key_services"},
		"Vault off":     {secrets.KeyFiles{VaultAddress: "https://v.test"}, "does not list hc_vault", "add hc_vault to key_services"},
		"no address":    {secrets.KeyFiles{Services: []string{"hc_vault"}, VaultToken: token}, "vault_address or vault_token_file is not set", "set vault_address"},
		"http":          {secrets.KeyFiles{Services: []string{"hc_vault"}, VaultAddress: "http://v.test", VaultToken: token}, "not an https address", "https://"},
		"user":          {secrets.KeyFiles{Services: []string{"hc_vault"}, VaultAddress: "https://a:" + canary + "@v.test", VaultToken: token}, "not an https address", "https://"},
		"no CA file":    {secrets.KeyFiles{Services: []string{"hc_vault"}, VaultAddress: "https://v.test", VaultToken: token, CAFile: "/nowhere"}, "no such file", "ca_file"},
		"empty CA file": {secrets.KeyFiles{Services: []string{"hc_vault"}, VaultAddress: "https://v.test", VaultToken: token, CAFile: token}, "no certificates", "PEM"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := secrets.LoadKeys(test.files)
			if err == nil || !strings.Contains(err.Error(), test.message) || !strings.Contains(fault.Hint(err), test.hint) {
				t.Errorf("error %v, hint %q", err, fault.Hint(err))
			}
			mustHide(t, "error", err.Error()+fault.Hint(err))
		})
	}
}

func privateFolder(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gnupg")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func openFolder(t *testing.T) string {
	t.Helper()
	path := privateFolder(t)
	if err := os.Chmod(path, 0o750); err != nil { //nolint:gosec // the test needs this mode
		t.Fatal(err)
	}
	return path
}

func TestLoadKeysReportsAllFaults(t *testing.T) {
	_, err := secrets.LoadKeys(secrets.KeyFiles{Age: []string{"/nowhere/a", "/nowhere/b"}, PGP: []string{"/nowhere/c"}})
	if got := len(fault.All(err)); got != 3 {
		t.Errorf("%d faults in: %v", got, err)
	}
}

func keyFile(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func readLab(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(lab.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
