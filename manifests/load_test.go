package manifests_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"coin.internal/coin-agent/manifests"
)

// TestGolden loads each archive in testdata/load. Its comment ends with a line
// `load ENVIRONMENT NODE [STACK]`, and its file `want` is the expected report.
func TestGolden(t *testing.T) {
	cases, err := filepath.Glob("testdata/load/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			fsys, want, names := open(t, archive)
			got := report(manifests.LoadStack(fsys, names[0], names[1], names[2]))
			if again := report(manifests.LoadStack(fsys, names[0], names[1], names[2])); again != got {
				t.Errorf("a second load differs:\n%s", cmp.Diff(got, again))
			}
			if *update {
				want.Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(want.Data), got); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
		})
	}
}

// open reads an archive: a repository, the expected report, and the names of the environment,
// the node and the stack to load.
func open(t *testing.T, archive *txtar.Archive) (fsys fstest.MapFS, want *txtar.File, names [3]string) {
	t.Helper()
	fsys = fstest.MapFS{}
	for i := range archive.Files {
		file := &archive.Files[i]
		if file.Name == "want" {
			want = file
			continue
		}
		fsys[file.Name] = &fstest.MapFile{Data: file.Data, Mode: 0o644}
	}
	lines := strings.Split(strings.TrimSpace(string(archive.Comment)), "\n")
	words := strings.Fields(lines[len(lines)-1])
	if want == nil || len(words) < 3 || len(words) > 4 || words[0] != "load" {
		t.Fatal("the archive needs a last comment line `load ENVIRONMENT NODE [STACK]` and a file want")
	}
	copy(names[:], words[1:])
	return fsys, want, names
}

func TestLoadNames(t *testing.T) {
	tests := map[string]struct{ environment, node, want string }{
		"environment outside": {"../sandbox", "node3", "is not a valid environment name"},
		"environment unknown": {"sandbx", "node3", `environments/sandbx: environment "sandbx" is not in the repository`},
		"environment empty":   {"", "node3", "is not a valid environment name"},
		"node unknown":        {"sandbox", "node5", `environments/sandbox/config.yml:5:3: environment sandbox has no node "node5"`},
		"node outside":        {"sandbox", "../nodes/node3", "environment sandbox has no node"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := manifests.Load(repository(nil), test.environment, test.node)
			wantFault(t, err, test.want)
		})
	}
}

func TestLoadMissing(t *testing.T) {
	tests := map[string]struct{ remove, want string }{
		"repository": {"environments/", "environments: the folder environments is missing"},
		"config":     {"environments/sandbox/config.yml", "environments/sandbox/config.yml: config.yml is missing"},
		"folder":     {nodeDir, "environments/sandbox/nodes/node3: the node's folder is missing"},
		"compose":    {nodeDir + "docker-compose.yml", nodeDir + "docker-compose.yml: the node's compose file is missing"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fsys := repository(nil)
			for file := range fsys {
				if strings.HasPrefix(file, test.remove) {
					delete(fsys, file)
				}
			}
			_, err := manifests.Load(fsys, "sandbox", "node3")
			wantFault(t, err, test.want)
		})
	}
}

func TestLoadFileOfANode(t *testing.T) {
	fsys := repository(nil)
	for file := range fsys {
		if strings.HasPrefix(file, nodeDir) {
			delete(fsys, file)
		}
	}
	fsys["environments/sandbox/nodes/node3"] = &fstest.MapFile{}
	_, err := manifests.Load(fsys, "sandbox", "node3")
	wantFault(t, err, "the node's folder is a file")
}

// broken returns an error for one file.
type broken struct {
	fs.FS
	file string
}

func (b broken) Open(name string) (fs.File, error) {
	if name == b.file {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errBroken}
	}
	return b.FS.Open(name)
}

var errBroken = errors.New("connection reset")

func TestLoadUnreadable(t *testing.T) {
	for _, file := range []string{
		"environments/sandbox/config.yml", nodeDir + "node.env", nodeDir + "project.env", strings.TrimSuffix(nodeDir, "/"),
		"environments/sandbox/common/project.env", "templates/project.env.template", nodeDir + "secrets.override.env",
	} {
		t.Run(file, func(t *testing.T) {
			_, err := manifests.Load(broken{repository(nil), file}, "sandbox", "node3")
			wantFault(t, err, "read "+file+": connection reset")
			if !errors.Is(err, errBroken) {
				t.Errorf("the error does not wrap its cause: %v", err)
			}
		})
	}
}

func TestListing(t *testing.T) {
	fsys := repository(map[string]string{
		"environments/production/config.yml": strings.NewReplacer("sandbox", "production", "node3", "prod2").Replace(plainConfig) +
			"  - {name: prod1, context: c, stack: s}\n",
		"environments/README.md": "",
	})
	environments, err := manifests.Environments(fsys)
	if diff := cmp.Diff([]string{"production", "sandbox"}, environments); diff != "" || err != nil {
		t.Errorf("environments: %v %s", err, diff)
	}
	nodes, err := manifests.Nodes(fsys, "production")
	if diff := cmp.Diff([]string{"prod2", "prod1"}, nodes); diff != "" || err != nil {
		t.Errorf("nodes: %v %s", err, diff)
	}
	if _, err := manifests.Environments(fstest.MapFS{}); err == nil {
		t.Error("an empty repository has environments")
	}
	_, err = manifests.Nodes(fsys, "testing")
	wantFault(t, err, `environment "testing" is not in the repository`)
}
