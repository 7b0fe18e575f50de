package compose_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/secrets"
)

// shelf is a Vault whose newest version of each path is 9.
type shelf struct{}

func (shelf) Read(_ context.Context, path string, version int) (int, map[string][]byte, error) {
	if path != "kv/data/db" {
		return 0, nil, errors.New("nothing there")
	}
	if version == 0 {
		version = 9
	}
	return version, map[string][]byte{"x": []byte(canary)}, nil
}

// TestVaultVersions wants the version in Vault in the name of a secret.
func TestVaultVersions(t *testing.T) {
	const file = "file: ./secrets/db"
	two := "  db: {file: ./secrets/db, name: db.$SV_db}\n  mail: {file: ./secrets/mail, name: mail.$SV_db}\n"
	for name, test := range map[string]struct {
		secrets, settings, keys string
		unread                  bool
		want                    string // the names of the secrets, or a fault
		warning                 string
	}{
		"a version":          {"  db: {" + file + ", name: db.$SV_db}\n", "", "db: vault:kv/data/db#x@7\n", false, "db.7", ""},
		"the newest":         {"  db: {" + file + ", name: db.$SV_db}\n", "", "db: vault:kv/data/db#x@auto\n", false, "db.9", ""},
		"a default":          {"  db: {" + file + ", name: \"db.${SV_db:-1}\"}\n", "", "db: vault:kv/data/db#x@7\n", false, "db.7", ""},
		"the base name":      {"  db: {file: ./secrets/other, name: db.$SV_db}\n", "", "other: vault:kv/data/db#x@7\n", false, "db.7", ""},
		"the same version":   {"  db: {" + file + ", name: db.$SV_db}\n", "SV_db=7\n", "db: vault:kv/data/db#x@7\n", false, "db.7", ""},
		"one of both":        {two, "", "db: vault:kv/data/db#x@7\nmail: vault:kv/data/db#x@7\n", false, "db.7 mail.7", ""},
		"an unread version":  {"  db: {" + file + ", name: db.$SV_db}\n", "", "db: vault:kv/data/db#x@7\n", true, "db.7", "the secret db was not read from Vault: version 7 of kv/data/db is compared by its number only"},
		"an unread newest":   {"  db: {" + file + ", name: db.$SV_db}\n", "", "db: vault:kv/data/db#x@auto\n", true, "db.auto", "the secret db was not read from Vault, and its newest version is not known: a sync will ask for it"},
		"another version":    {"  db: {" + file + ", name: db.$SV_db}\n", "SV_db=3\n", "db: vault:kv/data/db#x@7\n", false, "secrets.enc:1: SV_db is set to another version than the one in Vault, 7", ""},
		"a derived version":  {"  db: {" + file + ", name: db.$SV_db}\n", "SV_db=auto\n", "db: vault:kv/data/db#x@7\n", false, "secrets.enc:1: SV_db is set to another version than the one in Vault, 7", ""},
		"different versions": {two, "", "db: vault:kv/data/db#x@7\nmail: vault:kv/data/db#x@8\n", false, "secrets.enc:2: the secrets db and mail have the same variable SV_db, but different versions in Vault: 7 and 8", ""},
		"no variable":        {"  db: {" + file + ", name: db}\n", "", "db: vault:kv/data/db#x@7\n", false, "docker-compose.yml:6: the secret db comes from Vault, and its name has no SV_ variable", ""},
		"no name":            {"  db: {" + file + "}\n", "", "db: vault:kv/data/db#x@7\n", false, "docker-compose.yml:6: the secret db comes from Vault, and its name has no SV_ variable", ""},
		"an external secret": {"  db: {external: true, name: db_other}\n", "", "db: vault:kv/data/db#x@7\n", false, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			node := load(t, repository(map[string]string{
				"node.env": test.settings + "A=b\n", "docker-compose.yml": app + "    secrets: [db]\nsecrets:\n" + test.secrets, "secrets.enc": test.keys,
			}), "test", "n")
			set, err := secrets.Seal(secretFiles(t, node), secrets.Options{AllowPlaintext: true})
			if err != nil {
				t.Fatal(err)
			}
			var from secrets.VaultReader
			if !test.unread {
				from = shelf{}
			}
			if _, err := set.Resolve(t.Context(), from, secrets.Resolving{}); err != nil {
				t.Fatal(err)
			}
			stack, err := compose.Render(node, set, compose.Options{AllowLive: true})
			if err != nil {
				if got := describe(t, err); !slices.ContainsFunc(got, func(text string) bool { return strings.HasPrefix(text, test.want) }) || test.want == "" {
					t.Errorf("got %q, want %q", got, test.want)
				}
				return
			}
			var names []string
			for _, secret := range stack.Secrets {
				names = append(names, secret.Spec.Name)
				if secret.Vault.Path != "kv/data/db" || secret.Value.Known() == test.unread {
					t.Errorf("%s is at %q", secret.Spec.Name, secret.Vault.Path)
				}
			}
			if got := strings.Join(names, " "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			var warnings []string
			for _, warning := range stack.Warnings {
				warnings = append(warnings, warning.Message)
			}
			if test.warning != "" && !slices.Contains(warnings, test.warning) {
				t.Errorf("warnings %q", warnings)
			}
		})
	}
}
