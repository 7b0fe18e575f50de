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

const node = "environments/sandbox/nodes/node3/"

var keyedText = map[string]string{
	"yaml":   "# canary-comment\ndb_access: canary-db\ncert: |\n  line 1\n  line 2\nport: 5432\nratio: 1.5\non: true\nempty: \"\"\nSV_db_access: 2\ncert_VERSION: 7\n",
	"json":   `{"db_access": "canary-db", "cert": "line 1\nline 2\n", "port": 5432, "ratio": 1.5, "on": true, "empty": "", "SV_db_access": 2, "cert_VERSION": "7"}`,
	"dotenv": "# canary-comment\ndb_access=canary-db\ncert=line 1\\nline 2\\n\nport=5432\nratio=1.5\non=true\nempty=\nSV_db_access=2\ncert_VERSION=7\n",
	"ini":    "[secrets]\ndb_access = canary-db\ncert = \"\"\"line 1\nline 2\n\"\"\"\nport = 5432\nratio = 1.5\non = true\nempty =\n[versions]\nSV_db_access = 2\ncert_VERSION = 7\n",
}

func checkKeyed(t *testing.T, set *secrets.Set) {
	t.Helper()
	want := map[string]string{
		"db_access": "canary-db", "cert": "line 1\nline 2\n", "port": "5432", "ratio": "1.5", "on": "true", "empty": "(none)", "other": "(none)",
	}
	got := map[string]string{}
	for name := range want {
		got[name] = value(set, name, "")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"SV_db_access": "2", "SV_cert": "7"}, set.Versions()); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"cert", "db_access", "on", "port", "ratio"}, set.Names()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

// The value of a whole file is the output of `sops -d`.
func TestOpenWholeFile(t *testing.T) {
	texts := map[string]string{
		"binary": "\x00\x01canary \xff\n\n",
		"yaml":   "# note\na:\n    - 1\n    - b: [x, y] # why\nc: 0x10\nd: 2024-01-02\n---\ne: second document\n",
		"json":   `{"a":{"b":[1,2.5,null,true]},"data":"x"}`,
		"dotenv": "A=\"quoted\"\nB=two\\nlines\n",
		"ini":    "; note\n[a]\nb = c\n",
	}
	for kind, text := range texts {
		t.Run(kind, func(t *testing.T) {
			data := encrypt(t, kind, text, toAge()...)
			path := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			want, err := lab.run(lab.sops, "-d", "--input-type", kind, "--output-type", kind, path)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"secrets/msmtp.conf.enc", "secrets/msmtp.conf"} {
				set := open(t, ageKeys(t), secrets.File{Path: node + name, Data: data})
				if got := value(set, "anything", node+"secrets/msmtp.conf"); got != string(want) {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestBinaryKeepsEveryByte(t *testing.T) {
	text := "\x00\x01canary \xff\r\n\n"
	set := open(t, ageKeys(t), secrets.File{Path: node + "secrets/x.enc", Data: encrypt(t, "binary", text, toAge()...)})
	if got := value(set, "x", node+"secrets/x"); got != text {
		t.Errorf("got %q, want %q", got, text)
	}
}

// Only the name distinguishes JSON with the single key `data` from a binary file.
func TestJSONThatLooksBinary(t *testing.T) {
	data := encrypt(t, "json", `{"data": "x"}`, toAge()...)
	set := open(t, ageKeys(t), secrets.File{Path: node + "secrets/a.json.enc", Data: data}, secrets.File{Path: node + "secrets/b.enc", Data: data})
	if got := value(set, "", node+"secrets/a.json"); got != "{\n\t\"data\": \"x\"\n}\n" {
		t.Errorf("a.json: got %q", got)
	}
	if got := value(set, "", node+"secrets/b"); got != "x" {
		t.Errorf("b: got %q", got)
	}
}

// The error names every kind of recipient if no key opens the file.
func TestNoKeyOpens(t *testing.T) {
	data := string(encrypt(t, "yaml", "a: canary", "--config", "/dev/null", "--age", lab.age, "--pgp", lab.pgp))
	data = strings.Replace(data, "sops:\n", `sops:
    kms:
        - arn: arn:aws:kms:eu-central-1:1:key/abc
          context: {a: null}
          created_at: "2026-01-01T00:00:00Z"
          enc: xyz
          aws_profile: ""
    hc_vault:
        - vault_address: https://vault.test
          engine_path: transit
          key_name: coin
          created_at: "2026-01-01T00:00:00Z"
          enc: xyz
`, 1)
	file := []secrets.File{{Path: node + "secrets.enc", Data: []byte(data)}}
	_, err := load(t, secrets.KeyFiles{Age: []string{lab.path("other.key")}}).Open(file, secrets.Options{})
	if err == nil {
		t.Fatal("a foreign key opened the file")
	}
	for _, part := range []string{
		node + "secrets.enc: ", "age " + lab.age, "PGP " + lab.pgp, "AWS KMS arn:aws:kms:eu-central-1:1:key/abc",
		"Vault transit https://vault.test/v1/transit/keys/coin", "keys tried: " + lab.otherAge,
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in: %v", part, err)
		}
	}
	if !strings.Contains(fault.Hint(err), "agent's key settings") {
		t.Errorf("hint: %q", fault.Hint(err))
	}
	checkValue := open(t, ageKeys(t), file...)
	if got := value(checkValue, "a", ""); got != "canary" {
		t.Errorf("got %q beside other kinds of keys", got)
	}
}

// Only the configured files are used for keys.
func TestEnvironmentIsNotConsulted(t *testing.T) {
	identity, err := os.ReadFile(lab.path("age.key"))
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, ".config/sops/age"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".config/sops/age/keys.txt"), identity, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"SOPS_AGE_KEY": string(identity), "SOPS_AGE_KEY_FILE": lab.path("age.key"), "SOPS_AGE_KEY_CMD": "cat " + lab.path("age.key"),
		"GNUPGHOME": lab.gnupg, "HOME": home, "XDG_CONFIG_HOME": filepath.Join(home, ".config"),
	} {
		t.Setenv(name, value)
	}
	for _, args := range [][]string{{"--age", lab.age}, {"--pgp", lab.pgp}, {"--age", lab.age, "--pgp", lab.pgp}} {
		data := encrypt(t, "yaml", "a: b", append(args, "--config", "/dev/null")...)
		for _, files := range []secrets.KeyFiles{{}, {Age: []string{lab.path("other.key")}}, {PGP: []string{lab.path("curve.asc")}}} {
			if _, err := load(t, files).Open([]secrets.File{{Path: "secrets.enc", Data: data}}, secrets.Options{}); err == nil {
				t.Errorf("%v opened with keys %+v", args, files)
			}
		}
	}
}
