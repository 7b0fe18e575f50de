package compose_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// keyring makes an age key.
func keyring(t *testing.T) (*secrets.Keyring, sopstest.Key) {
	t.Helper()
	key := sopstest.NewKey(t)
	return key.Keyring(t), key
}

func open(t *testing.T, keys *secrets.Keyring, node *manifests.Node) *secrets.Set {
	t.Helper()
	set, err := keys.Open(secretFiles(t, node), secrets.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Wipe)
	return set
}

const sealedCompose = app + "    secrets: [db]\nsecrets:\n  db:\n    name: db.$SV_db\n    file: secrets/db\n"

func TestSealedVersion(t *testing.T) {
	keys, key := keyring(t)
	node := load(t, repository(map[string]string{
		"docker-compose.yml": sealedCompose,
		"secrets.enc":        sopstest.WholeYAML(t, key, map[string]string{"SV_db": "4", "db": canary}),
	}), "test", "n")
	sealed, err := secrets.Seal(secretFiles(t, node), secrets.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = compose.Render(node, sealed, compose.Options{})
	if got, want := describe(t, err), []string{"docker-compose.yml:7: the version SV_db is encrypted, and the agent has no key for it"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for want, render := range map[string]func() (*compose.Stack, error){
		"db.0": func() (*compose.Stack, error) {
			return compose.Render(node, sealed, compose.Options{AllowSealed: true})
		},
		"db.4": func() (*compose.Stack, error) { return compose.Render(node, open(t, keys, node), compose.Options{}) },
	} {
		stack, err := render()
		if err != nil {
			t.Fatal(err)
		}
		if got := stack.Secrets[0].Spec.Name; got != want {
			t.Errorf("the secret is %s, want %s", got, want)
		}
	}
}

// TestSecretLeftToSwarm accepts a secret without a value if Swarm may have it.
func TestSecretLeftToSwarm(t *testing.T) {
	node := load(t, repository(map[string]string{"node.env": "SV_db=2\n", "docker-compose.yml": sealedCompose}), "test", "n")
	stack, err := compose.Render(node, &secrets.Set{}, compose.Options{AllowLive: true})
	if err != nil {
		t.Fatal(err)
	}
	secret := stack.Secrets[0]
	if secret.Spec.Name != "db.2" || secret.Missing == nil || secret.Value.Known() {
		t.Errorf("the secret %+v has no reason for its missing value", secret)
	}
	if len(stack.Warnings) != 1 || !strings.HasSuffix(stack.Warnings[0].Error(), `the secret "db" has no value in the repository: Swarm must have db.2`) {
		t.Errorf("warnings: %v", stack.Warnings)
	}
	if _, err := compose.Render(node, &secrets.Set{}, compose.Options{}); err == nil {
		t.Error("a secret without a value is accepted without AllowLive")
	}
}

func TestAutoVersion(t *testing.T) {
	keys, key := keyring(t)
	name := func(settings, version, value string) string {
		node := load(t, repository(map[string]string{
			"node.env":           settings,
			"docker-compose.yml": strings.Replace(sealedCompose, "$SV_db", version, 1),
			"secrets.enc":        sopstest.WholeYAML(t, key, map[string]string{"db": value, "auto_version_key": strings.Repeat("k", 32)}),
		}), "test", "n")
		stack, err := compose.Render(node, open(t, keys, node), compose.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return stack.Secrets[0].Spec.Name
	}
	const set = "SV_db=auto\n"
	one, again, other := name(set, "$SV_db", "one"), name("", "${SV_db:-auto}", "one"), name(set, "$SV_db", "other")
	if one != again || one == other || !strings.HasPrefix(one, "db.") {
		t.Errorf("names %s, %s of one content, %s of another", one, again, other)
	}
}

// TestGivenVersion wants a version that is given in place of a derived one, without a look at
// the content.
func TestGivenVersion(t *testing.T) {
	keys, key := keyring(t)
	for settings, version := range map[string]string{"SV_db=auto\nX=a\n": "$X.$SV_db.z", "X=a\n": "$X.${SV_db:-auto}.z"} {
		node := load(t, repository(map[string]string{
			"node.env":           settings,
			"docker-compose.yml": strings.Replace(sealedCompose, "$SV_db", version, 1),
			"secrets.enc":        sopstest.WholeYAML(t, key, map[string]string{"db": "x"}), // without a key to derive it with
		}), "test", "n")
		asked := ""
		stack, err := compose.Render(node, open(t, keys, node), compose.Options{Auto: func(before, after string) string {
			asked = before + " " + after
			return "given"
		}})
		if err != nil || stack.Secrets[0].Spec.Name != "db.a.given.z" || asked != "db.a. .z" {
			t.Errorf("asked for %q: %+v, %v", asked, stack, err)
		}
	}
}

// TestNoSecretIsShown looks for a decrypted value in every output of a stack.
func TestNoSecretIsShown(t *testing.T) {
	keys, key := keyring(t)
	node := load(t, repository(map[string]string{
		"docker-compose.yml": sealedCompose + "configs:\n  c: {content: x}\n",
		"secrets.enc":        sopstest.WholeYAML(t, key, map[string]string{"db": canary, "other": canary}),
	}), "test", "n")
	stack, err := compose.Render(node, open(t, keys, node), compose.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := stack.Secrets[0].Value.Reveal(); !bytes.Equal(got, []byte(canary)) {
		t.Fatal("the stack does not have the value")
	}
	for name, print := range map[string]func() ([]byte, error){
		"specs": stack.Specs, "yaml": stack.YAML,
		"%v":  func() ([]byte, error) { return fmt.Appendf(nil, "%v", stack), nil },
		"%+v": func() ([]byte, error) { return fmt.Appendf(nil, "%+v", stack), nil },
		"%#v": func() ([]byte, error) { return fmt.Appendf(nil, "%#v", stack.Secrets), nil },
	} {
		output, err := print()
		if err != nil {
			t.Fatal(err)
		}
		if len(output) == 0 || bytes.Contains(output, []byte(canary)) || bytes.Contains(output, []byte("Y2FuYXJ5")) {
			t.Errorf("%s is empty or shows the secret", name)
		}
	}
}

// TestHalfOfAWindowsLineBreak: a value that ends with one is used as it is, with a warning.
func TestHalfOfAWindowsLineBreak(t *testing.T) {
	stack, err := renderFiles(t, map[string]string{
		"/environments/test/config.yml": config + "allow_plaintext_secrets: true\n",
		"docker-compose.yml":            "services: {web: {image: x}}\nsecrets:\n  db: {file: ./secrets/db}\n  tls: {file: ./secrets/tls}\n",
		"secrets/db":                    "canary\r",
		"secrets/tls":                   "canary\r\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, one := range stack.Warnings {
		if strings.Contains(one.Error(), "line break") {
			got = append(got, one.Error())
		}
	}
	want := nodeDir + "docker-compose.yml:3: the value of the secret \"db\" ends with half of a Windows line break (\\r), which services get, too"
	if len(got) != 1 || !strings.HasSuffix(got[0], strings.TrimPrefix(want, nodeDir)) {
		t.Errorf("got %q, want %q", got, want)
	}
}
