package secrets_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

// TestRemediesWork pastes the commands of hints for a YAML file, whose name has sops take it for a binary
// one, into a shell. Afterwards the agent reads the file.
func TestRemediesWork(t *testing.T) {
	value := string(encrypt(t, "yaml", "db_access: canary\n", toAge()...))
	for name, test := range map[string]struct {
		data  string
		keys  *secrets.Keyring
		after func(data string) string // what the hint has the user do before its command
		want  map[string]string
	}{
		"another key": {value, load(t, secrets.KeyFiles{Age: []string{lab.path("other.key")}}), nil, map[string]string{"db_access": "canary"}},
		"a value in plaintext": {
			"smtp: plain\n" + value, ageKeys(t), func(data string) string { return strings.TrimPrefix(data, "smtp: plain\n") },
			map[string]string{"db_access": "canary", "smtp": "second"},
		},
		"encrypted twice": {string(encrypt(t, "binary", value, toAge()...)), ageKeys(t), nil, map[string]string{"db_access": "canary"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "secrets.enc")
			_, err := test.keys.Open([]secrets.File{{Path: file, Data: []byte(test.data)}}, secrets.Options{})
			_, command, found := strings.Cut(fault.Hint(err), ": ")
			if at := strings.LastIndex(command, "sops "); !found || at < 0 {
				t.Fatalf("got %v, hint %q", err, fault.Hint(err))
			} else {
				command, _, _ = strings.Cut(command[at:], " (")
			}
			if test.after != nil {
				test.data = test.after(test.data)
			}
			if err := os.WriteFile(file, []byte(test.data), 0o600); err != nil {
				t.Fatal(err)
			}
			rules := "creation_rules: [{age: \"" + lab.age + "," + lab.otherAge + "\"}]\n"
			if err := os.WriteFile(filepath.Join(dir, ".sops.yaml"), []byte(rules), 0o600); err != nil {
				t.Fatal(err)
			}
			script := `set -e; export EDITOR="sed -i 's/^db_access.*/&\nsmtp: second/'"; cd "$1"; PATH=$2:$PATH; yes | ` + command
			if out, err := lab.run("sh", "-c", script, "sh", dir, lab.dir); err != nil {
				t.Fatalf("%s: %v\n%s", command, err, out)
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			set, err := test.keys.Open([]secrets.File{{Path: file, Data: data}}, secrets.Options{})
			if err != nil {
				t.Fatalf("after %s: %v", command, err)
			}
			for key, want := range test.want {
				if value, found := set.Lookup(key, ""); !found || string(value.Reveal()) != want {
					t.Errorf("after %s: %s is there: %t", command, key, found)
				}
			}
		})
	}
}

// TestByteOrderMark demands that a SOPS file which an editor has given a byte order mark is not called
// plaintext: the remedy for that would encrypt it twice.
func TestByteOrderMark(t *testing.T) {
	for _, kind := range []string{"binary", "json", "yaml", "dotenv"} {
		text := map[string]string{"binary": "canary", "json": `{"a": "canary"}`, "yaml": "a: canary\n", "dotenv": "a=canary\n"}[kind]
		data := append([]byte("\uFEFF"), encrypt(t, kind, text, toAge()...)...)
		_, err := ageKeys(t).Open([]secrets.File{{Path: "n/secrets.enc", Data: data}}, secrets.Options{})
		if err != nil && (strings.Contains(err.Error(), "not encrypted") || !strings.Contains(fault.Hint(err), "restore it")) {
			t.Errorf("%s: %v, hint %q", kind, err, fault.Hint(err))
		}
	}
}
