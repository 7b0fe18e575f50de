package compose_test

import (
	"slices"
	"strings"
	"testing"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/secrets"
)

// TestIncludedSecret checks that a secret in an included file of another folder gets
// its version and value from the node.
func TestIncludedSecret(t *testing.T) {
	keys, key := keyring(t)
	values := map[string]string{"SV_db": "4", "db": canary}
	files := map[string]string{
		"docker-compose.yml": app + "include: [../../../../common/db.yml]\n",
		"/common/db.yml":     "services:\n  db:\n    image: db:1\n    secrets: [db]\nsecrets:\n  db: {name: db.$SV_db, file: secrets/db}\n",
		"secrets.enc":        sopstest.WholeYAML(t, key, values),
	}
	node := load(t, repository(files), "test", "n")
	sealed, err := secrets.Seal(secretFiles(t, node), secrets.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = compose.Render(node, sealed, compose.Options{})
	if got, want := describe(t, err), []string{"common/db.yml:6: the version SV_db is encrypted, and the agent has no key for it"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	stack, err := compose.Render(node, open(t, keys, node), compose.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := outline(stack), []string{"app nginx:1", "db db:1  secret=db.4", "secret db.4 SV_db"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	delete(values, "SV_db")
	values["auto_version_key"] = strings.Repeat("k", 32)
	files["secrets.enc"] = sopstest.WholeYAML(t, key, values)
	files["docker-compose.yml"] = app + "include:\n  - {path: ../../../../common/db.yml, env_file: auto.env}\n"
	files["auto.env"] = "SV_db=auto\n"
	node = load(t, repository(files), "test", "n")
	if stack, err = compose.Render(node, open(t, keys, node), compose.Options{}); err != nil {
		t.Fatal(err)
	}
	if name := stack.Secrets[0].Spec.Name; !strings.HasPrefix(name, "db.") || len(name) < 10 {
		t.Errorf("the secret is %s, want a version derived from its content", name)
	}
}
