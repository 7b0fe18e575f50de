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

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

func TestResolve(t *testing.T) {
	const dir = "environments/sandbox/nodes/node3"
	tests := []struct{ name, want, fault string }{
		{"./secrets/db_access", dir + "/secrets/db_access", ""},
		{"secrets/../node.env", dir + "/node.env", ""},
		{".project.tmp.env", dir + "/.project.tmp.env", ""},
		{"../../common/x.env", "environments/sandbox/common/x.env", ""},
		{"../../../../templates/t", "templates/t", ""},
		{"../../../../etc/../x", "x", ""},
		{"..a/b..", dir + "/..a/b..", ""},
		{"../../../../../etc/passwd", "", `path "../../../../../etc/passwd" leaves the repository`},
		{"a/../../../../../..", "", "leaves the repository"},
		{"/etc/passwd", "", `path "/etc/passwd" is absolute`},
		{"~/x", "", `path "~/x" is in a home directory`},
		{"", "", "a file's path is empty"},
		{"a\x00b", "", "leaves the repository"},
		{"\xff", "", "leaves the repository"},
	}
	place := fault.Place{File: dir + "/docker-compose.yml", Line: 3, Column: 5}
	for _, test := range tests {
		got, err := manifests.Resolve(dir, test.name, place)
		if got != test.want || (err == nil) != (test.fault == "") {
			t.Errorf("%q: got %q, %v", test.name, got, err)
		}
		if test.fault != "" {
			wantFault(t, err, "docker-compose.yml:3:5: ")
			wantFault(t, err, test.fault)
		}
	}
}

func TestNodeFS(t *testing.T) {
	node, err := manifests.Load(repository(map[string]string{"project.env": "A=1\nCLIENT_API_X=\"2\"\n", "secrets/x.enc": ""}), "sandbox", "node3")
	if err != nil {
		t.Fatal(err)
	}
	derived := []string{".project.tmp.env", ".project.client.tmp.env", ".project.admin.tmp.env", ".project.i_client.tmp.env", ".project.renderer.tmp.env"}
	expected := []string{nodeDir + "node.env", nodeDir + "docker-compose.yml"}
	for _, name := range derived {
		expected = append(expected, nodeDir+name)
	}
	if err := fstest.TestFS(node.FS, expected...); err != nil {
		t.Error(err)
	}
	content, err := fs.ReadFile(node.FS, nodeDir+".project.client.tmp.env")
	if err != nil || string(content) != "API_X=\"2\"\n" {
		t.Errorf("derived file: %q %v", content, err)
	}
	for _, name := range []string{"../x", "/etc/passwd", "a/../b", ""} {
		if _, err := node.FS.Open(name); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("open %q: %v", name, err)
		}
	}
	if _, err := node.FS.Open("environments/sandbox/.project.tmp.env"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a derived file is in another folder: %v", err)
	}
}

// onDisk writes a small repository, in which the second node is a link to the first,
// and returns its folder.
func onDisk(t *testing.T) string {
	t.Helper()
	top := t.TempDir()
	dir := filepath.Join(top, "repository")
	for name, file := range repository(map[string]string{"templates/x": "inside"}) {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, file.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(top, "outside"), []byte("A=outside\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// trees opens a folder in each way that a repository can be passed.
func trees(t *testing.T, dir string) map[string]fs.FS {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() }) // nothing was written through it
	return map[string]fs.FS{"os.DirFS": os.DirFS(dir), "os.Root": root.FS()}
}

func TestLinks(t *testing.T) {
	tests := map[string]struct{ at, to, want string }{
		"to a sibling":        {nodeDir + "project_node3.env", "project.env", ""},
		"up and inside":       {nodeDir + "project_node3.env", "../../../../templates/../environments/sandbox/nodes/node3/project.env", ""},
		"out":                 {nodeDir + "project_node3.env", "../../../../../outside", "has a symbolic link that leaves the repository"},
		"absolute":            {nodeDir + "project_node3.env", "/etc/hostname", "has a symbolic link that leaves the repository"},
		"folder to the top":   {"environments/sandbox/common", "../..", ""},
		"settings folder out": {"environments/sandbox/common", "../../../..", "environments/sandbox/common/project.env has a symbolic link that leaves"},
		"round":               {nodeDir + "project_node3.env", "project_node3.env", "too many symbolic links"},
		"to nothing":          {nodeDir + "project_node3.env", "nothing", ""},
		"secrets folder out":  {nodeDir + "secrets", "/etc", "node3/secrets has a symbolic link that leaves the repository"},
		"one secret out":      {nodeDir + "secrets.enc", "/etc/hostname", "node3/secrets.enc has a symbolic link that leaves"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := onDisk(t)
			if err := os.Symlink(test.to, filepath.Join(dir, test.at)); err != nil {
				t.Fatal(err)
			}
			for kind, fsys := range trees(t, dir) {
				node, err := manifests.Load(fsys, "sandbox", "node3")
				if test.want != "" {
					wantFault(t, err, test.want)
				} else if err != nil {
					t.Errorf("%s: %v", kind, err)
				}
				if node != nil && strings.Contains(report(node, nil), "outside") {
					t.Errorf("%s: a file outside was read", kind)
				}
			}
		})
	}
}

// TestLinkedNode loads a node whose folder is a link to another node's.
func TestLinkedNode(t *testing.T) {
	dir := onDisk(t)
	config := filepath.Join(dir, "environments/sandbox/config.yml")
	if err := os.WriteFile(config, []byte(plainConfig+"  - {name: node4, context: c, stack: s}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("node3", filepath.Join(dir, "environments/sandbox/nodes/node4")); err != nil {
		t.Fatal(err)
	}
	for kind, fsys := range trees(t, dir) {
		node, err := manifests.Load(fsys, "sandbox", "node4")
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		content, err := fs.ReadFile(node.FS, node.Dir+"/.project.tmp.env")
		if err != nil || string(content) != "A=1\n" {
			t.Errorf("%s: %q %v", kind, content, err)
		}
	}
}

func TestLinksInNodeFS(t *testing.T) {
	dir := onDisk(t)
	for at, to := range map[string]string{"out": "../outside", "in": "templates/x", "folder": ".."} {
		if err := os.Symlink(to, filepath.Join(dir, at)); err != nil {
			t.Fatal(err)
		}
	}
	for kind, fsys := range trees(t, dir) {
		node, err := manifests.Load(fsys, "sandbox", "node3")
		if err != nil {
			t.Fatal(err)
		}
		content, err := fs.ReadFile(node.FS, "in")
		if diff := cmp.Diff("inside", string(content)); diff != "" || err != nil {
			t.Errorf("%s: %v %s", kind, err, diff)
		}
		for _, name := range []string{"out", "folder/outside", "folder"} {
			if content, err := fs.ReadFile(node.FS, name); err == nil || !strings.Contains(err.Error(), "leaves the repository") {
				t.Errorf("%s: %s was read: %q %v", kind, name, content, err)
			}
		}
	}
}
