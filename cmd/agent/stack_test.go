package main

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/sopstest"
)

const (
	stackCanary   = "canary-in-a-file-of-a-secret"
	stackOverride = "canary-in-the-file-of-s"
)

const stackCompose = `
services:
  app:
    image: registry.invalid/app:$TAG
    environment: {DATABASE_PASSWORD: "` + stackCanary + `", URL: "http://${HOST}"}
    secrets: [db_access, api_key]
secrets:
  db_access: {file: ./secrets/db_access, name: "db_access.$SV_db_access"}
  api_key: {file: ./secrets/api_key, name: "api_key.$SV_api_key"}
`

// stackFolder makes a folder of deployment.sh the current one, with HOME and TMPDIR in it.
func stackFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	key := sopstest.NewKey(t)
	for name, content := range map[string]string{
		"docker-compose.yml": stackCompose, "node.env": "export TAG=1.0 HOST=coin.internal\n", "project.env": "A=1\n",
		"secrets/db_access": stackCanary, "plain.env": "SV_db_access=2\napi_key=" + stackOverride + "\n",
		"sops.env": sopstest.YAML(t, key, map[string]string{"SV_db_access": "3", "api_key": stackOverride}),
		"key":      key.Identity, "broken.env": "export TAG=1.0\nif true; then\n", "tmp/none": "", "home/none": "",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("HOME", filepath.Join(dir, "home"))
	t.Setenv("DOCKER_CONFIG", "")
	t.Setenv("TMPDIR", filepath.Join(dir, "tmp"))
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(dir, "none.sock"))
	return dir
}

// TestStack runs the commands with right and wrong flags. None of them shows or writes a
// secret.
func TestStack(t *testing.T) {
	dir := stackFolder(t)
	all := func(command string, more ...string) []string {
		return append([]string{"deploy.sh", command, "-N", "node.env", "-P", "project.env", "-f", "docker-compose.yml"}, more...)
	}
	before := listed(t, dir)
	for name, one := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"check":                  {all("check", "-s", "plain.env"), exitDone, []string{"registry.invalid/app:1.0", "name: db_access.2", "DATABASE_PASSWORD: ***", "plain.env: the file of -s is not encrypted"}},
		"check with SOPS":        {all("check", "-s", "sops.env"), exitDone, []string{"name: db_access.3"}},
		"check without a secret": {all("check"), exitDifferent, []string{`problem: docker-compose.yml:9: the secret "api_key" has no value`}},
		"check without a file":   {all("check", "-N", "nod.env"), exitDifferent, []string{"nod.env: the file of -N is missing", "did you mean node.env?"}},
		"no compose file":        {[]string{"deployment.sh", "deploy", "-w", "coin"}, exitUsage, []string{"no compose file is named"}},
		"an unknown flag":        {all("deploy", "-x"), exitUsage, []string{"unknown shorthand flag: 'x' in -x"}},
		"an argument too many":   {all("deploy", "-w", "coin", "more.env"), exitUsage, []string{"more.env"}},
		"a bad limit":            {all("deploy", "-w", "coin", "--timeout", "0s"), exitUsage, []string{"--timeout is not a duration above 0"}},
		"no stack":               {all("deploy"), exitUsage, []string{"the name of the stack is missing", "name the stack with -w"}},
		"a bad stack":            {all("deploy", "-w", "a/b"), exitUsage, []string{`-w: "a/b" is not a valid stack name`}},
		"a missing file":         {all("deploy", "-w", "coin", "-f", "none.yml"), exitError, []string{"none.yml: the file of -f is missing", "code: files"}},
		"a broken file":          {all("deploy", "-w", "coin", "-N", "broken.env"), exitError, []string{"broken.env:2:10: the file is not valid shell syntax"}},
		"an unknown context":     {all("deploy", "-w", "coin", "-n", "node-9", "-s", "plain.env"), exitError, []string{`no Docker context "node-9"`}},
		"an engine that is away": {all("deploy", "-w", "coin", "-s", "plain.env", "-u"), exitError, []string{"none.sock does not answer", "code: engine"}},
		"SOPS without a key":     {all("deploy", "-w", "coin", "-s", "sops.env"), exitError, []string{"none.sock does not answer"}},
		"SOPS with a key":        {all("deploy", "-w", "coin", "-s", "sops.env", "--age-key-files", "key"), exitError, []string{"none.sock does not answer"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs strings.Builder
			code := run(context.Background(), arguments(one.args), &out, &errs)
			text := out.String() + errs.String()
			if code != one.code {
				t.Errorf("exit %d, want %d:\n%s", code, one.code, text)
			}
			for _, want := range one.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in\n%s", want, text)
				}
			}
			for _, secret := range []string{stackCanary, stackOverride} {
				if strings.Contains(text, secret) {
					t.Errorf("the output has a secret:\n%s", text)
				}
			}
		})
	}
	if diff := cmp.Diff(before, listed(t, dir)); diff != "" {
		t.Errorf("files were written:\n%s", diff)
	}
}

// listed gives the sizes of the files below a folder.
func listed(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	files := map[string]int64{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			files[name] = info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
