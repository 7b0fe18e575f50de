package importer_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/importer"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/secrets"
	"coin.internal/coin-agent/stackfiles"
)

// canary is in every secret.
const canary = "canary-5f1c9e"

// release gives the files of a release directory as auto.sh made them.
func release() map[string]string {
	return map[string]string{
		"docker-compose.yml": `version: "3.8"
x-deploy: &deploy
  deploy: {replicas: $REPLICAS, restart_policy: {condition: on-failure}}
services:
  web:
    image: ${DOCKER_REGISTRY}/app:$TAG_WEB
    env_file: $PROJECT_SETTINGS
    networks: [issuing]
    secrets:
      - {source: db_access, target: db_access, uid: "1000", gid: "1000", mode: 0400}
      - webhook.auth
    configs: [{source: nginx, target: /etc/nginx.conf}]
    <<: *deploy
networks:
  issuing: {driver: overlay, attachable: true}
secrets:
  db_access: {file: ./secrets/db_access, name: "${STACK}_db_access.$SV_db_access"}
  webhook.auth: {file: ./secrets/webhook.auth, name: "${STACK}_webhook.auth.$SV_webhook_auth"}
configs:
  nginx: {file: ./conf/nginx.conf, name: "${STACK}_nginx"}
`,
		"custom.secrets.yml": `version: "3.8"
services:
  web: {secrets: [hsm, keys]}
secrets:
  hsm: {file: ./secrets/hsm.json, name: "${STACK}_hsm.$SV_hsm"}
  keys: {file: ./certs/keys.pem, name: "${STACK}_keys.$SV_keys"}
`,
		"docker-compose-testshop.yaml": "version: \"3.8\"\nservices:\n  shop: {image: \"$DOCKER_REGISTRY/app:$TAG_SHOP\", env_file: [.project.client.tmp.env], networks: [issuing]}\n",
		"node.env":                     "export TAG=1\n#export TAG_WEB=2\nexport DOCKER_REGISTRY=\"coin\"\nexport REPLICAS=1\nexport STACK=sbxapp3\n",
		"project.env":                  "LOG_LEVEL=info\nCLIENT_API_URL=\"http://client_api:10005\"",
		"project_node3.env":            "LOG_LEVEL=debug\n",
		"secrets.override.env":         "SV_db_access=2\nwebhook_auth_VERSION=1\n",
		"conf/nginx.conf":              "events {}\n",
		"secrets/db_access":            canary + "-db\n",
		"secrets/webhook.auth":         canary + "\x00\xff-binary",
		"secrets/hsm.json":             "{\"pin\": \"" + canary + "\"}\n",
		"secrets/db_access.v1":         canary + "-old\n",
		"certs/keys.pem":               canary + "-pem\n",
		"deploy.sh":                    "#!/bin/bash\n",
		".project.tmp.env":             "LOG_LEVEL=info\n",
		"coin/readme":                  "of the release\n",
	}
}

func write(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// lab is a working copy, a release directory, and what imports it.
type lab struct {
	t       *testing.T
	key     sopstest.Key
	request importer.Request
}

func newLab(t *testing.T, files map[string]string) *lab {
	t.Helper()
	l := &lab{t: t, key: sopstest.NewKey(t)}
	repo := write(t, t.TempDir(), map[string]string{".sops.yaml": "creation_rules: [{path_regex: environments/sandbox/.*enc$, age: " + l.key.Recipient + "}]\n"})
	l.request = importer.Request{Dir: write(t, t.TempDir(), files), Repo: repo, Environment: "sandbox", Node: "node3", Flags: stackfiles.Flags{Stack: "sbxapp3", Node: "wlt-sbx-dkapp3-ams"}}
	l.git("init", "-q")
	return l
}

func (l *lab) git(arguments ...string) string {
	l.t.Helper()
	command := exec.Command("git", append([]string{"-C", l.request.Repo, "-c", "user.name=t", "-c", "user.email=t@example.com"}, arguments...)...)
	out, err := command.CombinedOutput()
	if err != nil {
		l.t.Fatalf("git %v: %v\n%s", arguments, err, out)
	}
	return string(out)
}

func (l *lab) run() *importer.Result {
	l.t.Helper()
	result, err := importer.Run(l.t.Context(), l.request)
	if err != nil {
		l.t.Fatalf("%v\nhint: %s", err, fault.Hint(err))
	}
	return result
}

// files gives the files of the working copy.
func (l *lab) files() map[string]string {
	l.t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(l.request.Repo), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(l.request.Repo, path))
		files[path] = string(text)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return files
}

const folder = "environments/sandbox/nodes/node3/"

// The folder has what the scripts used, renders to the same stack, and opens to the same
// secrets. No plaintext is in the working copy, in git's objects or in the result.
func TestImport(t *testing.T) {
	t.Parallel()
	l := newLab(t, release())
	result := l.run()
	if result.Refused != "" || !result.Written || len(result.Changes)+len(result.Plaintext) > 0 {
		t.Fatalf("got %+v", result)
	}
	files := l.files()
	for _, name := range []string{"docker-compose.yml", "custom.secrets.yml", "docker-compose-testshop.yaml", "node.env", "project.env", "project_node3.env", "secrets.override.env", "conf/nginx.conf"} {
		if files[folder+name] != release()[name] {
			t.Errorf("%s: got %q", name, files[folder+name])
		}
	}
	for _, name := range []string{"deploy.sh", ".project.tmp.env", "coin/readme", "certs/keys.pem", "secrets/db_access", "secrets/hsm.json"} {
		if _, found := files[folder+name]; found {
			t.Errorf("%s is in the working copy", name)
		}
	}
	if diff := cmp.Diff([]string{".project.tmp.env", "certs", "coin", "deploy.sh"}, result.Left); diff != "" {
		t.Error(diff)
	}
	if want := "nodes:\n  - name: node3\n    context: wlt-sbx-dkapp3-ams\n    stack: sbxapp3\n"; !strings.Contains(files["environments/sandbox/config.yml"], want) {
		t.Errorf("config.yml: %s", files["environments/sandbox/config.yml"])
	}
	l.wantSecrets(map[string]string{
		"sbxapp3_db_access.2": "secrets/db_access", "sbxapp3_webhook.auth.1": "secrets/webhook.auth", "sbxapp3_hsm.0": "secrets/hsm.json", "sbxapp3_keys.0": "certs/keys.pem",
	})
	l.git("add", "-A")
	l.git("commit", "-qm", "import")
	objects := l.git("cat-file", "--batch", "--batch-all-objects")
	for name, text := range files {
		objects += name + text
	}
	for _, warning := range result.Warnings {
		objects += warning.Message + warning.Hint + warning.Place
	}
	if strings.Contains(objects, canary) {
		t.Error("a secret is in the working copy in plaintext")
	}
	for _, checked := range desired.Check(os.DirFS(l.request.Repo), "sandbox", "node3", desired.Judged{}) {
		if len(checked.Problems) > 0 {
			t.Errorf("agent check: %+v", checked.Problems)
		}
	}
	if scan := desired.Scan(os.DirFS(l.request.Repo), "", ""); len(scan.Problems) > 0 {
		t.Errorf("agent check: %+v", scan.Problems)
	}
}

// wantSecrets compares the values of the imported node's secrets with files of the directory.
func (l *lab) wantSecrets(want map[string]string) {
	l.t.Helper()
	keys := l.key.Keyring(l.t)
	stack, err := desired.Render(l.t.Context(), os.DirFS(l.request.Repo), desired.Options{
		Environment: "sandbox", Node: "node3", Keys: func() (*secrets.Keyring, error) { return keys, nil },
	})
	if err != nil {
		l.t.Fatal(err)
	}
	got := map[string]string{}
	for _, secret := range stack.Secrets {
		got[secret.Spec.Name] = string(secret.Value.Reveal())
	}
	values := map[string]string{}
	for name, file := range want {
		values[name] = release()[file]
	}
	if diff := cmp.Diff(values, got); diff != "" {
		l.t.Error(diff)
	}
}

// A second import changes nothing, with a key; without one it does not guess.
func TestImportAgain(t *testing.T) {
	t.Parallel()
	l := newLab(t, release())
	l.run()
	before := l.files()
	for name, keys := range map[string]*secrets.Keyring{"no key": nil, "another key": sopstest.NewKey(t).Keyring(t)} {
		l.request.Keys = keys
		_, err := importer.Run(t.Context(), l.request)
		if err == nil || !strings.Contains(err.Error(), "encrypted files cannot be compared without a key that opens them: ") || strings.Contains(err.Error(), "differ") || !strings.Contains(fault.Hint(err), "--age-key-files") {
			t.Errorf("with %s: %v", name, err)
		}
	}
	l.request.Keys = l.key.Keyring(l.t)
	if result := l.run(); result.Written || !result.Finished {
		t.Errorf("got %+v", result)
	}
	write(t, l.request.Dir, map[string]string{"secrets/db_access": canary + "-another", "conf/nginx.conf": "events {} #\n"})
	if _, err := importer.Run(t.Context(), l.request); err == nil || !strings.Contains(err.Error(), "2 files of the node differ from the directory: "+folder+"conf/nginx.conf, "+folder+"secrets/db_access.enc") {
		t.Errorf("after a change: %v", err)
	}
	if diff := cmp.Diff(before, l.files()); diff != "" {
		t.Errorf("the working copy changed:\n%s", diff)
	}
	l.request.Overwrite = true
	if result := l.run(); !result.Written {
		t.Errorf("got %+v", result)
	}
	after := l.files()
	for name, text := range before {
		changed := name == folder+"conf/nginx.conf" || name == folder+"secrets/db_access.enc"
		if (after[name] != text) != changed {
			t.Errorf("%s: changed %t", name, !changed)
		}
	}
}

// A file of the node that only the repository has counts for what the node would run.
func TestFilesThatStay(t *testing.T) {
	t.Parallel()
	l := newLab(t, release())
	l.run()
	before := l.files()
	if err := os.Remove(filepath.Join(l.request.Dir, "docker-compose-testshop.yaml")); err != nil {
		t.Fatal(err)
	}
	write(t, l.request.Dir, map[string]string{"project.env": "LOG_LEVEL=warn\n"})
	l.request.Keys, l.request.Overwrite = l.key.Keyring(l.t), true
	result := l.run()
	if result.Written || !slices.Contains(result.Changes, "service sbxapp3_shop is new") || result.Refused == "" {
		t.Errorf("got %+v", result)
	}
	if !slices.ContainsFunc(result.Warnings, func(note importer.Note) bool {
		return note.Place == folder+"docker-compose-testshop.yaml" && strings.Contains(note.Message, "it stays") && strings.Contains(note.Hint, "remove it")
	}) {
		t.Errorf("warnings %+v", result.Warnings)
	}
	if diff := cmp.Diff(before, l.files()); diff != "" {
		t.Errorf("the working copy changed:\n%s", diff)
	}
	if err := os.Remove(filepath.Join(l.request.Repo, folder, "docker-compose-testshop.yaml")); err != nil {
		t.Fatal(err)
	}
	if result := l.run(); !result.Written || len(result.Changes) > 0 {
		t.Errorf("without the file: %+v", result)
	}
}

// An import that was cut off leaves a folder beside the node's, or an entry in config.yml.
func TestInterruptedImport(t *testing.T) {
	t.Parallel()
	l := newLab(t, release())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := importer.Run(ctx, l.request); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	write(t, l.request.Repo, map[string]string{
		"environments/sandbox/nodes/.node3.import/secrets/db_access.enc": "half", "environments/sandbox/config.yml.import": "environment:",
		"environments/sandbox/config.yml": "environment: {name: sandbox, type: non-production}\nnodes:\n  - {name: node3, context: wlt-sbx-dkapp3-ams, stack: sbxapp3}\n",
	})
	if result := l.run(); !result.Written || result.Config != "" {
		t.Errorf("got %+v", result)
	}
	if _, err := os.Stat(filepath.Join(l.request.Repo, "environments/sandbox/nodes/.node3.import")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what the earlier import left is still there: %v", err)
	}
	l.wantSecrets(map[string]string{
		"sbxapp3_db_access.2": "secrets/db_access", "sbxapp3_webhook.auth.1": "secrets/webhook.auth", "sbxapp3_hsm.0": "secrets/hsm.json", "sbxapp3_keys.0": "certs/keys.pem",
	})
}
