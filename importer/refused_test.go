package importer_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/importer"
	"coin.internal/coin-agent/internal/fault"
)

// Settings with secrets are named, and written only if the user says so.
func TestPlaintextSettings(t *testing.T) {
	t.Parallel()
	files := release()
	files["project.env"] += "\nDB_PASSWORD=" + canary + "-in-settings\nQUIET=x" + canary + "-db\n"
	files["node.env"] += "export SMTP_TOKEN=" + canary + "-token\n"
	l := newLab(t, files)
	before := l.files()
	result := l.run()
	var got []string
	for _, one := range result.Plaintext {
		got = append(got, one.Place+": "+one.Message)
	}
	want := []string{
		"node.env:6: SMTP_TOKEN looks like a secret in plaintext", "project.env:3: DB_PASSWORD looks like a secret in plaintext",
		"project.env:4: the value of the secret db_access is here in plaintext",
	}
	if diff := cmp.Diff(want, got); diff != "" || result.Written || result.Refused == "" {
		t.Errorf("written %t, %q\n%s", result.Written, result.Refused, diff)
	}
	if diff := cmp.Diff(before, l.files()); diff != "" {
		t.Errorf("the working copy changed:\n%s", diff)
	}
	if strings.Contains(fmt.Sprintf("%+v", result), canary) {
		t.Error("a value is in the result")
	}
	l.request.Plaintext = true // for what looks like a secret, not for the value of one
	if result := l.run(); result.Written || !result.Leaks || !strings.Contains(result.Refused, "the values of secrets") {
		t.Errorf("got %+v", result)
	}
	if diff := cmp.Diff(before, l.files()); diff != "" {
		t.Errorf("the working copy changed:\n%s", diff)
	}
	write(t, l.request.Dir, map[string]string{"project.env": release()["project.env"] + "\nDB_PASSWORD=" + canary + "-in-settings\n"})
	if result := l.run(); !result.Written || result.Leaks || len(result.Plaintext) != 2 {
		t.Errorf("got %+v", result)
	}
}

// The characters of a pattern in the path of the directory are none.
func TestPatternInPath(t *testing.T) {
	t.Parallel()
	l := newLab(t, release())
	dir := filepath.Join(filepath.Dir(l.request.Dir), "rel[old]*")
	if err := os.Rename(l.request.Dir, dir); err != nil {
		t.Fatal(err)
	}
	l.request.Dir = dir
	write(t, dir, map[string]string{"project_other.env": "A=1\n"})
	if _, err := importer.Run(t.Context(), l.request); err == nil || !strings.Contains(err.Error(), "project_other.env: it is not known whether") {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "project_other.env")); err != nil {
		t.Fatal(err)
	}
	if result := l.run(); !result.Written || result.Services != 2 {
		t.Errorf("got %+v", result)
	}
}

// A name that begins with .git can be that of a secret. Files of git are not imported, and listed.
func TestNamesOfGit(t *testing.T) {
	t.Parallel()
	files := release()
	files["secrets/.gitlab_token"], files["secrets/.gitignore"], files["secrets/.gitkeep"], files["secrets/empty"] = canary+"-gitlab", "*.old\n", "", ""
	l := newLab(t, files)
	result := l.run()
	if left := strings.Join(result.Left, " "); !strings.HasSuffix(left, "secrets/.gitignore secrets/.gitkeep secrets/empty") || strings.Contains(left, "gitlab") {
		t.Errorf("left %s", left)
	}
	if text := fmt.Sprint(result.Warnings); !strings.Contains(text, "secrets/.gitlab_token no compose file names this secret") || strings.Contains(text, ".gitignore") {
		t.Errorf("warnings %s", text)
	}
	if sealed := l.files()[folder+"secrets/.gitlab_token.enc"]; sealed == "" || strings.Contains(sealed, canary) {
		t.Errorf("the file is %q", sealed)
	}
}

// What the repository adds to the node's settings would restart tasks.
func TestChangedSpecs(t *testing.T) {
	t.Parallel()
	l := newLab(t, release())
	write(t, l.request.Repo, map[string]string{"environments/sandbox/common/project.env": "FEATURE=on\n"})
	result := l.run()
	if diff := cmp.Diff([]string{"service sbxapp3_web differs in TaskTemplate.ContainerSpec.Env"}, result.Changes); diff != "" || result.Written {
		t.Errorf("written %t\n%s", result.Written, diff)
	}
	l.request.Changes = true
	if result := l.run(); !result.Written {
		t.Errorf("got %+v", result)
	}
}

// The node is added to a config.yml that exists, whose other lines stay.
func TestAddedToConfig(t *testing.T) {
	t.Parallel()
	const entry = "- name: node3\n    context: wlt-sbx-dkapp3-ams\n    stack: sbxapp3\n"
	tests := map[string]struct{ before, after string }{
		"last":         {"environment: {name: sandbox, type: non-production}\nnodes:\n  - name: node4\n    stack: sbxapp4", "\n  " + entry},
		"before a key": {"environment: {name: sandbox, type: non-production}\nnodes: # two\n  - {name: node4, stack: sbxapp4} # four\n\n# how\ndrift: report\n", "  " + entry},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, release())
			write(t, l.request.Repo, map[string]string{"environments/sandbox/config.yml": test.before})
			l.run()
			after := l.files()["environments/sandbox/config.yml"]
			if rest := strings.Replace(after, test.after, "", 1); rest != test.before || rest == after {
				t.Errorf("got\n%s", after)
			}
		})
	}
	l := newLab(t, release())
	write(t, l.request.Repo, map[string]string{"environments/sandbox/config.yml": "environment: {name: sandbox, type: non-production}\nnodes: [{name: node4, stack: sbxapp4}]\n"})
	if _, err := importer.Run(t.Context(), l.request); err == nil || !strings.Contains(fault.Hint(err), entry) {
		t.Errorf("got %v\nhint: %s", err, fault.Hint(err))
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		files         map[string]string // of the directory; "" removes one
		repo          map[string]string
		request       func(*importer.Request)
		message, hint string
	}{
		"no rules":             {repo: map[string]string{".sops.yaml": "creation_rules: [{path_regex: production, age: x}]\n"}, message: "no rule for the new file " + folder, hint: "add a rule"},
		"no stack":             {request: func(r *importer.Request) { r.Flags.Stack = "" }, message: "the name of the stack is not known", hint: "-w"},
		"another stack":        {repo: map[string]string{"environments/sandbox/config.yml": "environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, stack: coin}]\n"}, message: `has the stack "coin" for the node node3`, hint: "config.yml"},
		"unknown settings":     {files: map[string]string{"project_node4.env": "A=1\n"}, message: "it is not known whether", hint: "-P project_node4.env"},
		"no compose file":      {files: map[string]string{"docker-compose.yml": "", "custom.secrets.yml": "", "docker-compose-testshop.yaml": ""}, message: "no docker-compose.yml", hint: "-f"},
		"a hostile name":       {request: func(r *importer.Request) { r.Node = "../.." }, message: "cannot be the name of a folder", hint: "letters"},
		"a file outside":       {request: func(r *importer.Request) { r.Flags.Project = []string{"/etc/hostname"} }, message: "outside of the directory", hint: "copy it"},
		"a secret as a config": {files: map[string]string{"conf/nginx.conf": "", "docker-compose.yml": strings.Replace(release()["docker-compose.yml"], "./conf/nginx.conf", "./secrets/db_access", 1)}, message: "read it as a plain file", hint: "as a secret"},
		"an unset variable":    {files: map[string]string{"node.env": "export TAG=1 DOCKER_REGISTRY=coin STACK=sbxapp3\n", "docker-compose.yml": strings.Replace(release()["docker-compose.yml"], "$REPLICAS", "1", 1), "docker-compose-testshop.yaml": "version: \"3.8\"\nservices: {shop: {image: coin/app, hostname: \"$NOWHERE\"}}\n"}, message: "NOWHERE", hint: "node.env"},
		"broken config.yml":    {repo: map[string]string{"environments/sandbox/config.yml": "nodes: {"}, message: "config.yml", hint: ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := release()
			maps.Copy(files, test.files)
			maps.DeleteFunc(files, func(_, text string) bool { return text == "" })
			l := newLab(t, files)
			write(t, l.request.Repo, test.repo)
			if test.request != nil {
				test.request(&l.request)
			}
			before := l.files()
			result, err := importer.Run(t.Context(), l.request)
			if err == nil || !strings.Contains(err.Error(), test.message) || !strings.Contains(fault.Hint(err), test.hint) || strings.Contains(err.Error(), canary) {
				t.Errorf("got %+v, %v\nhint: %s\nwant %s\nhint: %s", result, err, fault.Hint(err), test.message, test.hint)
			}
			if diff := cmp.Diff(before, l.files()); diff != "" {
				t.Errorf("the working copy changed:\n%s", diff)
			}
		})
	}
}

// The directory with plaintext must not be where git could take it.
func TestDirectoryInTheWorkingCopy(t *testing.T) {
	t.Parallel()
	l := newLab(t, release())
	inside := filepath.Join(l.request.Repo, "old")
	if err := os.CopyFS(inside, os.DirFS(l.request.Dir)); err != nil {
		t.Fatal(err)
	}
	l.request.Dir = inside
	if _, err := importer.Run(t.Context(), l.request); err == nil || !strings.Contains(err.Error(), "is in the working copy") {
		t.Errorf("got %v", err)
	}
}

// Links in the repository do not lead the writes out of it.
func TestLinkedFolder(t *testing.T) {
	t.Parallel()
	l := newLab(t, release())
	elsewhere := t.TempDir()
	write(t, l.request.Repo, map[string]string{"environments/sandbox/config.yml": "environment: {name: sandbox, type: non-production}\nnodes:\n  - {name: node4, stack: sbxapp4}\n"})
	if err := os.Symlink(elsewhere, filepath.Join(l.request.Repo, "environments/sandbox/nodes")); err != nil {
		t.Fatal(err)
	}
	if _, err := importer.Run(t.Context(), l.request); err == nil {
		t.Error("the import wrote through a link")
	}
	if entries, err := os.ReadDir(elsewhere); err != nil || len(entries) > 0 {
		t.Errorf("got %v, %v", entries, err)
	}
}
