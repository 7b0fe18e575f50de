package desired_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/secrets"
)

const (
	configFile = "environments/sandbox/config.yml"
	nodeDir    = "environments/sandbox/nodes/node3/"
)

func file(content string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(content)} }

const requiring = `environment: {name: sandbox, type: non-production}
nodes:
  - name: node3
    context: c
    stack: s
    required_secrets: [node_key]
secrets:
  required:
    - db_access
    - card_iv.txt
    - absent
`

// requiredRepo holds a key and a whole file of the three that are required, and
// one that has no value.
func requiredRepo(t *testing.T, key sopstest.Key) fstest.MapFS {
	t.Helper()
	return fstest.MapFS{
		configFile:                          file(requiring),
		nodeDir + "node.env":                file("TAG=1\n"),
		nodeDir + "docker-compose.yml":      file("services: {web: {image: \"app:$TAG\"}}\n"),
		nodeDir + "secrets.enc":             file(sopstest.YAML(t, key, map[string]string{"db_access": "x", "node_key": ""})),
		nodeDir + "secrets/card_iv.txt.enc": file(sopstest.YAML(t, key, map[string]string{"a": "x"})),
	}
}

func TestRequiredSecrets(t *testing.T) {
	key := sopstest.NewKey(t)
	fsys := requiredRepo(t, key)
	ring := key.Keyring(t)
	for how, keys := range map[string]*secrets.Keyring{"with keys": ring, "without": nil} {
		_, err := desired.Open(t.Context(), fsys, desired.Options{
			Environment: "sandbox", Node: "node3", Keys: func() (*secrets.Keyring, error) { return keys, nil },
		})
		var got []string
		for _, one := range fault.All(err) {
			got = append(got, one.Error())
			if fault.Hint(one) == "" {
				t.Errorf("%s: no remedy for: %v", how, one)
			}
		}
		want := []string{
			configFile + `:11:7: a required secret is missing: ` + nodeDir + `secrets/absent: the secret "absent" has no value: looked for ` +
				nodeDir + `secrets/absent.enc, ` + nodeDir + `secrets/absent, the key absent in secrets.override.enc and secrets.enc`,
			configFile + `:6:24: a required secret is missing: ` + nodeDir + `secrets.enc: the secret "node_key" has no value: its key is empty, and Swarm does not accept empty secrets`,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", how, diff)
		}
	}
	checked := desired.Check(fsys, "sandbox", "node3", desired.Judged{})[0]
	if len(checked.Problems) != 2 || checked.Problems[0].Place.Line != 11 || !strings.Contains(checked.Problems[0].Hint, "add it with sops") {
		t.Errorf("check: %+v", checked.Problems)
	}
}

// What a binary file of keys holds cannot be told without keys: nothing is
// called missing.
func TestRequiredSecretsUnseen(t *testing.T) {
	const sealed = "ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]"
	fsys := requiredRepo(t, sopstest.NewKey(t))
	fsys[nodeDir+"secrets.override.enc"] = file(`{"data": "` + sealed + `", "sops": {"lastmodified": "2026-01-01T00:00:00Z", "mac": "` + sealed + `", "version": "3.9.0", "age": [{"recipient": "age1", "enc": "x"}]}}`)
	if checked := desired.Check(fsys, "sandbox", "node3", desired.Judged{})[0]; len(checked.Problems) != 0 {
		t.Errorf("check: %+v", checked.Problems)
	}
}
