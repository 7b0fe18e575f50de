package secrets_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/secrets"
)

// scan gives what Scan finds, each as file:line: message.
func scan(t *testing.T, files map[string]string, o secrets.ScanOptions) []string {
	t.Helper()
	repository := fstest.MapFS{}
	for name, content := range files {
		repository[name] = &fstest.MapFile{Data: []byte(content)}
	}
	scanned, err := secrets.Scan(repository, o)
	if err != nil {
		t.Fatal(err)
	}
	found := []string{}
	for _, one := range scanned.Found {
		found = append(found, one.Error())
	}
	return found
}

// planted are lines with something that should be encrypted: what is found, and
// the value, which must never be in the words.
var planted = map[string]struct{ file, line, what, value string }{
	"private key":   {"deploy.pem", "-----BEGIN RSA " + "PRIVATE KEY-----", "this looks like a private key in plaintext", "RSA"},
	"pgp":           {"keys.asc", "-----BEGIN PGP " + "PRIVATE KEY BLOCK-----", "this looks like a private key in plaintext", "BLOCK"},
	"age":           {"notes.md", "key: AGE-SECRET-" + "KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQ", "this looks like an age identity in plaintext", "1QQQQ"},
	"aws":           {"a.txt", "id AKIA" + "IOSFODNN7EXAMPLE", "this looks like an AWS access key in plaintext", "IOSFODNN7EXAMPLE"},
	"gitlab":        {".gitlab-ci.yml", "  curl -H 'x: glpat-" + "abcdefghijklmnopqrst'", "this looks like a GitLab token in plaintext", "abcdefghij"},
	"github":        {"a.sh", "T=ghp_" + strings.Repeat("a1", 20), "this looks like a GitHub token in plaintext", "a1a1a1"},
	"slack":         {"a.yml", "url: https://hooks.slack.com/services/T0AAA/B0AAA/" + strings.Repeat("x", 24), "this looks like a Slack webhook in plaintext", "xxxx"},
	"stripe":        {"a.json", `{"k": "sk_live_` + strings.Repeat("4", 24) + `"}`, "this looks like a Stripe key in plaintext", "4444"},
	"jwt":           {"a.http", "Bearer eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmN", "this looks like a JSON web token in plaintext", "dozjgN"},
	"url":           {"docker-compose.yml", "  DSN: postgres://coin:hunter2" + "@db/coin", "this looks like a URL with its password in plaintext", "hunter2"},
	"env":           {"environments/e/nodes/n/project.env", "DATABASE_PASSWORD=hunter2", "DATABASE_PASSWORD looks like a secret in plaintext", "hunter2"},
	"env quoted":    {"node.env", `export API_KEY="k-1234567"`, "API_KEY looks like a secret in plaintext", "k-1234567"},
	"small letters": {"x.env", "db_password=hunter2", "db_password looks like a secret in plaintext", "hunter2"},
	"yaml mapping":  {"docker-compose.yml", "      JWT_SECRET: hunter2hunter2", "JWT_SECRET looks like a secret in plaintext", "hunter2"},
	"yaml list":     {"docker-compose.yaml", "      - JWT_SECRET=hunter2hunter2", "JWT_SECRET looks like a secret in plaintext", "hunter2"},
}

func TestScanFindsSecrets(t *testing.T) {
	for name, one := range planted {
		t.Run(name, func(t *testing.T) {
			found := scan(t, map[string]string{one.file: "first: line\n" + one.line + "\n"}, secrets.ScanOptions{})
			if diff := cmp.Diff([]string{one.file + ":2: " + one.what}, found); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if strings.Contains(fmt.Sprint(found), one.value) {
				t.Errorf("%v shows the value", found)
			}
			for _, marked := range []string{one.line + " # not-a-secret\n", "# not-a-secret: an example\n" + one.line + "\n"} {
				if found := scan(t, map[string]string{one.file: marked}, secrets.ScanOptions{}); len(found) > 0 {
					t.Errorf("found although it is marked: %v", found)
				}
			}
		})
	}
}

func TestScanPassesOver(t *testing.T) {
	for _, line := range []string{
		"DATABASE_PASSWORD=$DB_PASSWORD", "DATABASE_PASSWORD={{DB_PASSWORD}}", "DATABASE_PASSWORD=", `TOKEN=""`, "API_KEY=<your key>",
		"DATABASE_PASSWORD_FILE=/run/secrets/db", "PASSWORD_LENGTH=32", "TOKEN_TTL=3600", "SECRET_ENABLED=true", "JWT_SECRET=/run/secrets/jwt",
		"SV_api_token=3", "MONKEY=banana", "KEYCLOAK=on-premise", "API_KEY=ENC[AES256_GCM,data:x,iv:y,tag:z,type:str]", "PUBLIC_KEY=MIIBIjANBg",
		"DSN=postgres://coin:${DB_PASSWORD}@db/coin", "REGISTRY=https://registry.example.com:5000/coin", "# API_KEY is in secrets.enc",
	} {
		if found := scan(t, map[string]string{"project.env": line + "\n"}, secrets.ScanOptions{}); len(found) > 0 {
			t.Errorf("%s: %v", line, found)
		}
	}
	for _, line := range []string{"secrets: [db_password]", "      - source: api_key", "  secret: db", "  API_KEY: $API_KEY", "    token: abcdefgh"} {
		if found := scan(t, map[string]string{"docker-compose.yml": line + "\n"}, secrets.ScanOptions{}); len(found) > 0 {
			t.Errorf("%s: %v", line, found)
		}
	}
}

// TestScanFiles goes by the files' names: what has to be encrypted, and what is
// not in git at all.
func TestScanFiles(t *testing.T) {
	key := sopstest.NewKey(t)
	encrypted := sopstest.YAML(t, key, map[string]string{"API_KEY": "hunter2"})
	var decrypted []string
	for line := range strings.Lines(encrypted) {
		if strings.HasPrefix(line, "API_KEY:") {
			line = "API_KEY: hunter2\n"
		}
		decrypted = append(decrypted, line)
	}
	files := map[string]string{
		".sops.yaml":                               "creation_rules:\n  - path_regex: certificates/.*\\.p12$\n  - age: age1x\n",
		".gitignore":                               "*.decrypted\n/local/\n",
		"local/secrets.enc":                        "API_KEY: hunter2\n",
		"environments/e/x.decrypted":               "AKIA" + "IOSFODNN7EXAMPLE",
		".git/config.env":                          "API_KEY=hunter2hunter2",
		"environments/e/nodes/n/secrets.enc":       "API_KEY: hunter2\n",
		"environments/e/nodes/o/secrets.enc":       encrypted,
		"environments/e/nodes/p/secrets.enc":       strings.Join(decrypted, ""),
		"environments/e/nodes/n/secrets/db":        "hunter2",
		"environments/e/nodes/n/secrets/x/y":       "hunter2",
		"environments/e/nodes/n/secrets/README.md": "Encrypt what you put here.",
		"environments/e/nodes/n/secrets/.gitkeep":  "",
		"environments/e/nodes/secrets/node.env":    "TAG=1\n",
		"environments/e/nodes/secrets/secrets/z":   "hunter2",
		"environments/free/nodes/n/secrets/db":     "hunter2",
		"certificates/one.p12":                     "\x00\x01",
		"secrets/code.go":                          "package secrets",
		"picture.png":                              "\x89PNG\x00\x00AKIA" + "IOSFODNN7EXAMPLE",
	}
	found := scan(t, files, secrets.ScanOptions{Plaintext: func(name string) bool { return strings.HasPrefix(name, "environments/free/") }})
	want := []string{
		"certificates/one.p12: the file is not encrypted",
		"environments/e/nodes/n/secrets.enc: the file is not encrypted",
		"environments/e/nodes/n/secrets/db: the file is not encrypted",
		"environments/e/nodes/n/secrets/x/y: the file is not encrypted",
		"environments/e/nodes/p/secrets.enc:1: the value of \"API_KEY\" should be encrypted, but stands in plaintext",
		"environments/e/nodes/secrets/secrets/z: the file is not encrypted",
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestScanFaults(t *testing.T) {
	for content, want := range map[string]string{
		"creation_rules: [":                       ".sops.yaml:1: the file is not well-formed",
		"creation_rules: [{path_regex: 'a(b'}]\n": ".sops.yaml: creation_rules[0].path_regex: error parsing regexp: missing closing ): `a(b`",
	} {
		_, err := secrets.Scan(fstest.MapFS{".sops.yaml": {Data: []byte(content)}}, secrets.ScanOptions{})
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", content, err, want)
		}
	}
}

// FuzzScan gives any text under names of every kind: Scan must come to an end.
func FuzzScan(f *testing.F) {
	for _, one := range planted {
		f.Add(one.file, one.line)
	}
	f.Add("environments/e/nodes/n/secrets.enc", `{"sops": {}}`)
	f.Fuzz(func(t *testing.T, name, content string) {
		if !fs.ValidPath(name) || name == "." {
			return // MapFS does not hold to itself with such a name
		}
		scanned, err := secrets.Scan(fstest.MapFS{name: {Data: []byte(content)}}, secrets.ScanOptions{})
		if err != nil {
			return // a .sops.yaml that is none
		}
		if _, err := json.Marshal(scanned); err != nil {
			t.Error(err)
		}
	})
}
