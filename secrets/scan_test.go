package secrets_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/secrets"
)

// scan returns the results of Scan, each as file:line: message.
func scan(t *testing.T, files map[string]string, plaintext func(string) bool) []string {
	t.Helper()
	repository := fstest.MapFS{}
	for name, content := range files {
		repository[name] = &fstest.MapFile{Data: []byte(content)}
	}
	scanned, err := secrets.Scan(repository, plaintext)
	if err != nil {
		t.Fatal(err)
	}
	found := []string{}
	for _, one := range scanned.Found {
		found = append(found, one.Error())
	}
	for _, one := range scanned.Warnings {
		found = append(found, "warning: "+one.Error())
	}
	return found
}

// planted lists lines with values that should be encrypted, the expected messages, and
// the values, which must not be in the messages.
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
	"pin":           {"node.env", "HSM_PIN=123456", "HSM_PIN looks like a secret in plaintext", "123456"},
	"auth":          {"node.env", "REGISTRY_AUTH=Y29pbjpodW50ZXIy", "REGISTRY_AUTH looks like a secret in plaintext", "Y29p"},
	"pass":          {"node.env", "SMTP_PASS=hunter2", "SMTP_PASS looks like a secret in plaintext", "hunter2"},
	"card keys":     {"project.env", "CARD_ENCRYPTION_KEY=card-enc-key-ghi", "CARD_ENCRYPTION_KEY looks like a secret in plaintext", "card-enc"},
	"access":        {"project.env", "DB_ACCESS=coin:hunter2", "DB_ACCESS looks like a secret in plaintext", "hunter2"},
	"fallback":      {"node.env", `DB_PASSWORD="${DB_PASSWORD:-hunter2}"`, "DB_PASSWORD looks like a secret in plaintext", "hunter2"},
	"bcrypt":        {"project.env", "ADMIN_PASSWORD=$2a$10$N9qo8uLOickgx2ZMRZoMye", "ADMIN_PASSWORD looks like a secret in plaintext", "N9qo"},
	"slash first":   {"project.env", "JWT_SECRET=/kU3x+Zq0a==", "JWT_SECRET looks like a secret in plaintext", "kU3x"},
	"switched off":  {"project.env", "#DATABASE_PASSWORD=hunter2", "DATABASE_PASSWORD looks like a secret in plaintext", "hunter2"},
	"script":        {"deploy.sh", `export RUNNER_TOKEN="hunter2-hunter2"`, "RUNNER_TOKEN looks like a secret in plaintext", "hunter2"},
	"settings file": {"msmtp.conf", "smtp.password = hunter2", "smtp.password looks like a secret in plaintext", "hunter2"},
	"json":          {"settings.json", `{"db": {"user": "coin", "dbPassword": "hunter2"}}`, "dbPassword looks like a secret in plaintext", "hunter2"},
	"docker login":  {"config.json", `{"auths": {"harbor.example.com": {"auth": "Y29pbjpodW50ZXIy"}}}`, "this looks like a registry login in plaintext", "Y29p"},
	"yaml flow":     {"docker-compose.yml", "    environment: {LOG_LEVEL: debug, JWT_SECRET: hunter2hunter2}", "JWT_SECRET looks like a secret in plaintext", "hunter2"},
	"yaml small":    {"values.yml", "    db_password: hunter2", "db_password looks like a secret in plaintext", "hunter2"},
	"yaml quoted":   {"docker-compose.yml", `      JWT_SECRET: "*{hunter2"`, "JWT_SECRET looks like a secret in plaintext", "hunter2"},
	"yaml anchor":   {"docker-compose.yml", "      DB_PASSWORD: &password hunter2", "DB_PASSWORD looks like a secret in plaintext", "hunter2"},
	"yaml tag":      {"docker-compose.yml", "      DB_PASSWORD: !!str &password hunter2", "DB_PASSWORD looks like a secret in plaintext", "hunter2"},
	"yaml list":     {"docker-compose.yaml", "      - JWT_SECRET=hunter2hunter2", "JWT_SECRET looks like a secret in plaintext", "hunter2"},
}

func TestScanFindsSecrets(t *testing.T) {
	for name, one := range planted {
		t.Run(name, func(t *testing.T) {
			found := scan(t, map[string]string{one.file: "first: line\n" + one.line + "\n"}, nil)
			if diff := cmp.Diff([]string{one.file + ":2: " + one.what}, found); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if strings.Contains(fmt.Sprint(found), one.value) {
				t.Errorf("%v shows the value", found)
			}
			for _, marked := range []string{one.line + " # not-a-secret\n", "# not-a-secret: an example\n" + one.line + "\n"} {
				if found := scan(t, map[string]string{one.file: marked}, nil); len(found) > 0 {
					t.Errorf("found in spite of the mark: %v", found)
				}
			}
		})
	}
}

// TestScanMarksOneValue: the mark of a value says nothing about the next one.
func TestScanMarksOneValue(t *testing.T) {
	lines := "A_PIN=1234567 # not-a-secret\nDB_PASSWORD=hunter2\n"
	if found := scan(t, map[string]string{"node.env": lines}, nil); len(found) != 1 || !strings.HasPrefix(found[0], "node.env:2: DB_PASSWORD") {
		t.Errorf("found %v", found)
	}
	partly := encrypt(t, "yaml", "note: x\nA_PIN: a1234567 # not-a-secret\nDB_PASSWORD: hunter2\n", append(toAge(), "--encrypted-regex", "^note$")...)
	if found := scan(t, map[string]string{"values.yml": string(partly)}, nil); len(found) != 1 || !strings.HasPrefix(found[0], "values.yml:3: DB_PASSWORD") {
		t.Errorf("in a SOPS file: %v", found)
	}
}

// TestScanReadsBlocks: the value of a YAML key can begin on the next line.
func TestScanReadsBlocks(t *testing.T) {
	for header, line := range map[string]int{"DB_PASSWORD: |\n": 2, "  DB_PASSWORD: &p >-  # folded\n\n": 3, "- db_password: |2\n": 2} {
		found := scan(t, map[string]string{"docker-compose.yml": header + "    hunter2\nLEVEL: info\n"}, nil)
		if len(found) != 1 || !strings.HasPrefix(strings.ToUpper(found[0]), fmt.Sprintf("DOCKER-COMPOSE.YML:%d: DB_PASSWORD", line)) {
			t.Errorf("%q: %v", header, found)
		}
		if found := scan(t, map[string]string{"docker-compose.yml": header + "    ${DB_PASSWORD}\nDB_HOST: hunter2\n"}, nil); len(found) > 0 {
			t.Errorf("%q with a variable: %v", header, found)
		}
	}
}

// TestScanTellsOfLargeFiles: what must be encrypted and is not read is told.
func TestScanTellsOfLargeFiles(t *testing.T) {
	large := strings.Repeat("x", 4<<20+1)
	found := scan(t, map[string]string{"passwords.kdbx": large, "data.sql": large}, nil)
	if len(found) != 1 || !strings.HasPrefix(found[0], "passwords.kdbx: the file should be encrypted") {
		t.Errorf("found %v", found)
	}
}

// TestScanReadsWhatWindowsWrites: UTF-16, and a mark at the beginning.
func TestScanReadsWhatWindowsWrites(t *testing.T) {
	const text = "DB_PASSWORD=hunter2\r\nLEVEL=info\r\n"
	little, big := []byte("\xff\xfe"), []byte("\xfe\xff")
	for _, unit := range utf16.Encode([]rune(text)) {
		little, big = binary.LittleEndian.AppendUint16(little, unit), binary.BigEndian.AppendUint16(big, unit)
	}
	for name, content := range map[string]string{"UTF-8": "\ufeff" + text, "little": string(little), "big": string(big)} {
		if found := scan(t, map[string]string{"node.env": content}, nil); len(found) != 1 || !strings.HasPrefix(found[0], "node.env:1: DB_PASSWORD") {
			t.Errorf("%s: %v", name, found)
		}
	}
}

func TestScanPassesOver(t *testing.T) {
	for _, line := range []string{
		"DATABASE_PASSWORD=$DB_PASSWORD", "DATABASE_PASSWORD={{DB_PASSWORD}}", "DATABASE_PASSWORD=", `TOKEN=""`, "API_KEY=<your key>",
		"DATABASE_PASSWORD_FILE=/run/secrets/db", "PASSWORD_LENGTH=32", "TOKEN_TTL=3600", "SECRET_ENABLED=true", "JWT_SECRET=/run/secrets/jwt",
		"SV_api_token=3", "MONKEY=banana", "KEYCLOAK=on-premise", "API_KEY=ENC[AES256_GCM,data:x,iv:y,tag:z,type:str]", "PUBLIC_KEY=MIIBIjANBg",
		"DSN=postgres://coin:${DB_PASSWORD}@db/coin", "REGISTRY=https://registry.example.com:5000/coin", "# API_KEY is in secrets.enc",
		"#API_KEY=<your key>", "# PASSWORD=what people type", "DB_PASSWORD=${DB_PASSWORD:-YOUR_DB_PASSWORD}", `NEW_PASSWORD=$(openssl rand -base64 32)`,
		"DB_PASSWORD=${DB_PASSWORD:?set it}", "API_KEY=encrypted...", `REGISTRY_AUTH="--with-registry-auth"`, "ROUTING_KEY=coin.payments",
		"TOKEN_SERVICE_TOKEN=https://auth.example.com/v1", "API_KEY= # in secrets.enc", `JWT_SECRET="" # in secrets.enc`, "PASSWORD_MIN_LENGTH=12",
		"TOKEN_ISSUER=coin", "API_KEY_HEADER=X-Api-Key", "MAX_TOKENS=4000", "CLIENT_SECRET=${CLIENT_SECRET}", "HSM_PIN=$HSM_PIN",
	} {
		if found := scan(t, map[string]string{"project.env": line + "\n"}, nil); len(found) > 0 {
			t.Errorf("%s: %v", line, found)
		}
	}
	for _, line := range []string{`PGPASSWORD="${DB_PASSWORD}" psql \\`, `SECRET_NAME="${key}_v${SECRET_VERSION}"`, "key=$(basename $file)", `TOKEN="Bearer $TOKEN"`} {
		if found := scan(t, map[string]string{"deploy.sh": line + "\n"}, nil); len(found) > 0 {
			t.Errorf("%s: %v", line, found)
		}
	}
	for _, line := range []string{
		"secrets: [db_password]", "      - source: api_key", "  secret: db", "  API_KEY: $API_KEY", "    token: abcdefgh",
		"  db_password:", "  db_password: {file: ./secrets/db_password}", "    JWT_SECRET: *jwt", "      - {source: server.key, target: server.key}", "  key: docker-contexts",
		`    name: api_key.$SV_api_key`, "      api_key: [one, two]", "  webhook_url_variable: SLACK_WEBHOOK_SANDBOX",
	} {
		if found := scan(t, map[string]string{"docker-compose.yml": line + "\n"}, nil); len(found) > 0 {
			t.Errorf("%s: %v", line, found)
		}
	}
}

// TestScanFiles checks which files must be encrypted by their names, and which are not in
// git.
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
		"stores/shop.jks":                          "\xfe\xed\xfe\xed",
		"picture.png":                              "\x89PNG\x00\x00AKIA" + "IOSFODNN7EXAMPLE",
	}
	found := scan(t, files, func(name string) bool { return strings.HasPrefix(name, "environments/free/") })
	want := []string{
		"certificates/one.p12: the file is not encrypted",
		"environments/e/nodes/n/secrets.enc: the file is not encrypted",
		"environments/e/nodes/n/secrets/db: the file is not encrypted",
		"environments/e/nodes/n/secrets/x/y: the file is not encrypted",
		"environments/e/nodes/p/secrets.enc:1: the value of \"API_KEY\" should be encrypted, but is in plaintext",
		"environments/e/nodes/secrets/secrets/z: the file is not encrypted",
		"stores/shop.jks: the file is not encrypted",
		"warning: environments/free/nodes/n/secrets/db: the file is not encrypted: allow_plaintext_secrets accepts it",
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestScanFaults(t *testing.T) {
	for content, want := range map[string]string{
		"creation_rules: [":                       ".sops.yaml:1: the file is not valid YAML",
		"creation_rules: [{path_regex: 'a(b'}]\n": ".sops.yaml: creation_rules[0].path_regex: error parsing regexp: missing closing ): `a(b`",
	} {
		_, err := secrets.Scan(fstest.MapFS{".sops.yaml": {Data: []byte(content)}}, nil)
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", content, err, want)
		}
	}
}

// TestScanValues judges the values of SOPS files one by one, and the rules of .sops.yaml.
func TestScanValues(t *testing.T) {
	key := sopstest.NewKey(t)
	file := sopstest.YAML(t, key, map[string]string{"API_KEY": "hunter2", "TOKEN": "hunter2", "SV_x": "3"})
	partly := "DATABASE_PASSWORD: hunter2\nDATABASE_HOST: db\n# not-a-secret: of the test bench\nTEST_TOKEN: hunter2\nnote: see glpat-" +
		"abcdefghijklmnopqrst\nPORT: 5432\n" + strings.Replace(file, "unencrypted_regex: ^SV_", "encrypted_regex: ^(API_KEY|TOKEN)$", 1)
	var decrypted []string
	for line := range strings.Lines(file) {
		if name, _, ok := strings.Cut(line, ":"); ok && (name == "API_KEY" || name == "TOKEN") {
			line = name + ": hunter2\n"
		}
		decrypted = append(decrypted, line)
	}
	found := scan(t, map[string]string{
		".sops.yaml":                         "creation_rules:\n  - path_regex: nodes/n/secrets\\.enc$\n    age: age1x\n  - age: age1x\n    path_regex: nodes/m/\n  - age: age1x\n",
		"environments/e/nodes/n/secrets.enc": partly,
		"environments/e/nodes/o/secrets.enc": strings.Join(decrypted, ""),
	}, nil)
	want := []string{
		"environments/e/nodes/n/secrets.enc:1: DATABASE_PASSWORD looks like a secret in plaintext: the rules of the file do not encrypt it",
		"environments/e/nodes/n/secrets.enc:5: this looks like a GitLab token in plaintext: the rules of the file do not encrypt it",
		"environments/e/nodes/o/secrets.enc:1: the value of \"API_KEY\" should be encrypted, but is in plaintext",
		"environments/e/nodes/o/secrets.enc:3: the value of \"TOKEN\" should be encrypted, but is in plaintext",
		"warning: .sops.yaml:5: creation_rules[1].path_regex matches no file: it encrypts nothing",
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, partly)
	}
}

// TestScanIsLinear counts the memory of a scan, and of a look without keys: ten times the
// values that are in plaintext take about ten times as much, and 100 of them are listed.
func TestScanIsLinear(t *testing.T) {
	key := sopstest.NewKey(t)
	encrypted := sopstest.YAML(t, key, map[string]string{"API_KEY": "x"})
	read := func(values int) uint64 {
		var lines, comments strings.Builder
		for i := range values {
			fmt.Fprintf(&lines, "TOKEN%d: hunter2\n", i)
			fmt.Fprintf(&comments, "# note %d\n", i)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for name, file := range map[string]string{
			"decrypted": lines.String() + encrypted,
			"by rule":   lines.String() + strings.Replace(encrypted, "unencrypted_regex: ^SV_", "encrypted_regex: ^API_KEY$", 1),
			"comments":  comments.String() + encrypted,
		} {
			if _, err := secrets.Inspect([]secrets.File{{Path: "secrets.enc", Data: []byte(file)}}, secrets.Options{}); (err != nil) != (name == "decrypted") {
				t.Error(name, err)
			}
			found := scan(t, map[string]string{"secrets.enc": file}, nil)
			if name == "comments" {
				continue
			}
			if more := fmt.Sprintf("secrets.enc: %d more values of the file are in plaintext", values-100); len(found) != 101 || found[0] != more {
				t.Errorf("%s: %d found, first %q, want 101 and %q", name, len(found), found[0], more)
			}
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	read(101)
	if few, many := read(900), read(9000); many > 20*few {
		t.Errorf("900 values: %d bytes; 9000 values: %d bytes", few, many)
	}
	found := scan(t, map[string]string{"secrets.enc": strings.Repeat("K: x\n", 10_000) + encrypted}, nil)
	if diff := cmp.Diff([]string{"secrets.enc: a mapping or the INI file has more than 10000 keys"}, found); diff != "" {
		t.Error(diff)
	}
}

// FuzzScan scans any text under names of every kind. Scan must end.
func FuzzScan(f *testing.F) {
	for _, one := range planted {
		f.Add(one.file, one.line)
	}
	f.Add("environments/e/nodes/n/secrets.enc", `{"sops": {}}`)
	f.Fuzz(func(t *testing.T, name, content string) {
		if !fs.ValidPath(name) || name == "." {
			return // MapFS does not support such a name
		}
		scanned, err := secrets.Scan(fstest.MapFS{name: {Data: []byte(content)}}, nil)
		if err != nil {
			return // an invalid .sops.yaml
		}
		if _, err := json.Marshal(scanned); err != nil {
			t.Error(err)
		}
	})
}
