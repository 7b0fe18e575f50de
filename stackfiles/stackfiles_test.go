package stackfiles_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/stackfiles"
)

// folder writes files into a new folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// release is a folder as auto.sh made it.
func release() map[string]string {
	return map[string]string{
		"node-a.env":  "export HOST=$NODE_NAME.internal\nTAG=one\n",
		"node.env":    "TAG=2025-12-15-11eeef9e99 # the release\nREPLICAS=2\n",
		"project.env": "A=\"quoted\"\nCLIENT_API_URL=client\nREPORT_GENERATOR_X=1",
		"more.env":    "A=more\nADMIN_API_KEY=admin",
		"secrets.override.env": `
SV_db_access=3
api_key_VERSION=4
`,
		"secrets/db_access": "a plaintext that is a secret",
		"docker-compose.yml": `
services:
  app:
    image: registry.invalid/core:$TAG_APP
    env_file: [$PROJECT_SETTINGS, .project.client.tmp.env]
    environment: {HOST: "$HOST", UNSET: "$NOWHERE"}
    volumes: ["./data:/data"]
    secrets: [db_access, api_key]
    deploy: {replicas: $REPLICAS}
secrets:
  db_access: {file: ./secrets/db_access, name: "db_access.$SV_db_access"}
  api_key: {external: true, name: "api_key.$SV_api_key"}
`,
		"extra.yml": "services:\n  app:\n    environment: {EXTRA: '1'}\n",
	}
}

func flags() stackfiles.Flags {
	return stackfiles.Flags{
		Node: "node-a", Stack: "coin", Nodes: []string{"node.env"}, Project: []string{"project.env", "more.env"},
		Compose: []string{"docker-compose.yml", "extra.yml"}, Secrets: "secrets.override.env",
	}
}

func TestRead(t *testing.T) {
	dir := folder(t, release())
	files, err := stackfiles.Read(t.Context(), flags(), stackfiles.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer files.Wipe()
	spec := files.Stack.Services["coin_app"]
	if got, want := spec.TaskTemplate.ContainerSpec.Image, "registry.invalid/core:2025-12-15-11eeef9e99"; got != want {
		t.Errorf("image %s, want %s", got, want)
	}
	env := slices.Sorted(slices.Values(spec.TaskTemplate.ContainerSpec.Env))
	if diff := cmp.Diff([]string{"A=more", "ADMIN_API_KEY=admin", "API_URL=client", "CLIENT_API_URL=client", "EXTRA=1", "HOST=node-a.internal", "REPORT_GENERATOR_X=1", "UNSET="}, env); diff != "" {
		t.Error(diff)
	}
	if got := spec.TaskTemplate.ContainerSpec.Mounts[0].Source; got != dir+"/data" {
		t.Errorf("mount of %s", got)
	}
	if diff := cmp.Diff(map[string]string{"com.docker.stack.image": "registry.invalid/core:2025-12-15-11eeef9e99", "com.docker.stack.namespace": "coin"}, spec.Labels); diff != "" {
		t.Errorf("labels of a stack without an agent:\n%s", diff)
	}
	if got := string(files.Stack.Secrets[0].Value.Reveal()); files.Stack.Secrets[0].Spec.Name != "db_access.3" || got != "a plaintext that is a secret" {
		t.Errorf("secret %s has %d bytes", files.Stack.Secrets[0].Spec.Name, len(got))
	}
	if diff := cmp.Diff([]string{"api_key.4"}, files.Stack.ExternalSecrets); diff != "" {
		t.Error(diff)
	}
	want := []string{
		"secrets.override.env: the file of -s is not encrypted",
		"docker-compose.yml:6: the variable NOWHERE is not set: it is treated as empty",
	}
	if diff := cmp.Diff(want, texts(files.Warnings)); diff != "" {
		t.Error(diff)
	}
}

func texts(all []*fault.Error) []string {
	var texts []string
	for _, one := range all {
		texts = append(texts, one.Error())
	}
	return texts
}

func TestReadRefuses(t *testing.T) {
	for name, one := range map[string]struct {
		change func(files map[string]string, flags *stackfiles.Flags, options *stackfiles.Options)
		want   []string
	}{
		"a missing file": {
			func(_ map[string]string, flags *stackfiles.Flags, _ *stackfiles.Options) {
				flags.Project = []string{"projekt.env"}
			},
			[]string{"projekt.env: the file of -P is missing"},
		},
		"a command in a file of variables": {
			func(files map[string]string, _ *stackfiles.Flags, _ *stackfiles.Options) {
				files["node.env"] = "TAG=$(touch ran)\n"
			},
			[]string{"node.env:1:5: command substitution is not allowed: this file is not run"},
		},
		"an unset variable with strict": {
			func(_ map[string]string, _ *stackfiles.Flags, options *stackfiles.Options) { options.Strict = true },
			[]string{"docker-compose.yml:6: the variable NOWHERE is not set and has no default"},
		},
		"a secret in Vault": {
			func(files map[string]string, _ *stackfiles.Flags, _ *stackfiles.Options) {
				files["secrets.override.env"] += "other=vault:kv/data/coin/db#password@7\n"
			},
			[]string{"secrets.override.env: vault:kv/data/coin/db#password@7 is a secret in Vault, which only an agent reads"},
		},
		"an empty secret": {
			func(files map[string]string, _ *stackfiles.Flags, _ *stackfiles.Options) {
				files["secrets/db_access"] = ""
			},
			[]string{"secrets/db_access: the file of a secret is empty, and Swarm does not accept empty secrets"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			files, flags, options := release(), flags(), stackfiles.Options{}
			one.change(files, &flags, &options)
			options.Dir = folder(t, files)
			_, err := stackfiles.Read(t.Context(), flags, options)
			var got []string
			for _, one := range fault.All(err) {
				got = append(got, one.Error())
				if strings.Contains(one.Error()+fault.Hint(one), strings.TrimPrefix(options.Dir, "/")+"/") {
					t.Errorf("the text has a path in the tree: %v", one)
				}
			}
			if diff := cmp.Diff(one.want, got); diff != "" {
				t.Error(diff)
			}
			if _, err := os.Stat(filepath.Join(options.Dir, "ran")); err == nil {
				t.Error("a command was run")
			}
		})
	}
}

// TestPipe reads versions from a pipe, as in -s <(sops -d FILE).
func TestPipe(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = read.Close() }()
	if _, err := write.WriteString("SV_db_access=9\n"); err != nil {
		t.Fatal(err)
	}
	_ = write.Close() // the pipe holds the text
	given := flags()
	given.Secrets = fmt.Sprintf("/dev/fd/%d", read.Fd())
	files, err := stackfiles.Read(t.Context(), given, stackfiles.Options{Dir: folder(t, release())})
	if err != nil {
		t.Fatal(err)
	}
	defer files.Wipe()
	if got := files.Stack.Secrets[0].Spec.Name; got != "db_access.9" {
		t.Errorf("secret %s", got)
	}
	if strings.Contains(strings.Join(texts(files.Warnings), "\n"), "is not encrypted") {
		t.Errorf("a pipe is not a file that can be encrypted: %v", files.Warnings)
	}
}
