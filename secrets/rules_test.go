package secrets_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

// newRules writes a .sops.yaml into a folder.
func newRules(t *testing.T, rules string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, ".sops.yaml"), []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	return root
}

const newFile = "environments/sandbox/nodes/node3/secrets/db_access.enc"

// New files open with the recipients' keys, in the agent and in the real sops, to the same bytes.
func TestRulesEncrypt(t *testing.T) {
	binary := []byte("\x00\xff" + canary + "\n\n")
	tests := map[string]struct {
		rule string
		ring secrets.KeyFiles // whose PGP keys encrypt
		open secrets.KeyFiles
	}{
		"age":                   {"path_regex: sandbox/.*enc$, age: " + lab.age, secrets.KeyFiles{}, secrets.KeyFiles{Age: []string{lab.path("age.key")}}},
		"SSH":                   {"age: '" + lab.ssh + "'", secrets.KeyFiles{}, secrets.KeyFiles{Age: []string{lab.path("ssh.key")}}},
		"PGP of the ring":       {"pgp: " + lab.pgp, secrets.KeyFiles{PGP: []string{lab.path("rsa.asc")}}, secrets.KeyFiles{PGP: []string{lab.path("rsa.asc")}}},
		"PGP of gpg":            {"pgp: " + lab.curvePGP, secrets.KeyFiles{}, secrets.KeyFiles{GnuPGHome: lab.home}},
		"readable versions":     {"age: " + lab.age + ", unencrypted_regex: ^SV_", secrets.KeyFiles{}, secrets.KeyFiles{Age: []string{lab.path("age.key")}}},
		"two groups of keys":    {"shamir_threshold: 2, key_groups: [{age: [" + lab.age + "]}, {age: [" + lab.otherAge + "]}]", secrets.KeyFiles{}, secrets.KeyFiles{Age: []string{lab.path("age.key"), lab.path("other.key")}}},
		"not the first of them": {"path_regex: production, age: " + lab.otherAge + "}, {age: " + lab.age, secrets.KeyFiles{}, secrets.KeyFiles{Age: []string{lab.path("age.key")}}},
	}
	t.Setenv("GNUPGHOME", lab.home)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			rules := secrets.NewRules(newRules(t, "creation_rules: [{"+test.rule+"}]"), load(t, test.ring))
			whole, err := rules.Encrypt(newFile, secrets.NewValue(bytes.Clone(binary)))
			if err != nil {
				t.Fatal(err, fault.Hint(err))
			}
			keys, err := rules.EncryptKeys("environments/sandbox/nodes/node3/secrets.enc", map[string]secrets.Value{"hsm.json": secrets.NewValue([]byte("{\"a\": 1}  \n")), "b": secrets.NewValue([]byte(canary))})
			if err != nil {
				t.Fatal(err, fault.Hint(err))
			}
			if bytes.Contains(whole, []byte(canary)) || bytes.Contains(keys, []byte(canary)) {
				t.Error("the plaintext is in the file")
			}
			set, err := load(t, test.open).Open([]secrets.File{{Path: newFile, Data: whole}, {Path: "environments/sandbox/nodes/node3/secrets.enc", Data: keys}}, secrets.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for key, want := range map[string][]byte{"db_access": binary, "hsm.json": []byte("{\"a\": 1}  \n"), "b": []byte(canary)} {
				if got, _ := set.Lookup(key, "environments/sandbox/nodes/node3/secrets/"+key); !bytes.Equal(got.Reveal(), want) {
					t.Errorf("%s: got %q", key, got.Reveal())
				}
			}
		})
	}
}

func TestRulesOpenWithSOPS(t *testing.T) {
	whole, err := secrets.NewRules(newRules(t, "creation_rules: [{age: "+lab.age+"}]"), nil).Encrypt(newFile, secrets.NewValue([]byte(canary+"\n")))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.enc")
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := lab.run(lab.sops, "-d", path); err != nil || string(out) != canary+"\n" {
		t.Errorf("sops: %q, %v", out, err)
	}
}

// The rules of a folder nearer to the file take precedence.
func TestRulesOfAFolder(t *testing.T) {
	root := newRules(t, "creation_rules: [{age: "+lab.otherAge+"}]")
	near := filepath.Join(root, "environments/sandbox")
	if err := os.MkdirAll(near, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(near, ".sops.yaml"), []byte("creation_rules: [{path_regex: ^nodes/, age: "+lab.age+"}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	data, err := secrets.NewRules(root, nil).Encrypt(newFile, secrets.NewValue([]byte("x")))
	if err != nil || !strings.Contains(string(data), lab.age) {
		t.Errorf("got %s, %v", data, err)
	}
}

func TestRulesFaults(t *testing.T) {
	tests := map[string]struct{ rules, file, message, hint string }{
		"no match":        {"creation_rules: [{path_regex: production, age: " + lab.age + "}]", newFile, "no rule for the new file " + newFile, "add a rule"},
		"no rules":        {"stores: {}", newFile, "names no key", "add age: or pgp:"},
		"no key":          {"creation_rules: [{path_regex: sandbox}]", newFile, "names no key", "add age: or pgp:"},
		"not YAML":        {"creation_rules: [", newFile, "no rule for the new file", "correct the file"},
		"a cloud's key":   {"creation_rules: [{kms: 'arn:aws:kms:eu-west-1:1:key/a', age: " + lab.age + "}]", newFile, "needs AWS KMS", "sops updatekeys"},
		"unknown PGP key": {"creation_rules: [{pgp: '0000000000000000000000000000000000000000'}]", newFile, "cannot be encrypted for PGP 00000", "gpg --import"},
		"left readable":   {"creation_rules: [{age: " + lab.age + ", encrypted_regex: ^password$}]", newFile, "leaves its content in plaintext", "encrypted_regex"},
		"JSON by name":    {"creation_rules: [{age: " + lab.age + "}]", "n/secrets/a.json.enc", "is read as JSON", "secrets.enc"},
	}
	t.Setenv("GNUPGHOME", lab.home)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := secrets.NewRules(newRules(t, test.rules), nil).Encrypt(test.file, secrets.NewValue([]byte(canary)))
			if err == nil || !strings.Contains(err.Error(), test.message) || !strings.Contains(fault.Hint(err), test.hint) || strings.Contains(err.Error(), canary) {
				t.Errorf("got %v\nhint: %s\nwant %s\nhint: %s", err, fault.Hint(err), test.message, test.hint)
			}
		})
	}
	_, err := secrets.NewRules(t.TempDir(), nil).Encrypt(newFile, secrets.NewValue([]byte(canary)))
	if err == nil || !strings.Contains(fault.Hint(err), `path_regex: 'environments/sandbox/.*/secrets(/.*)?\.enc$'`) {
		t.Errorf("without .sops.yaml: %v, %s", err, fault.Hint(err))
	}
}
