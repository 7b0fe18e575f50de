package manifests_test

import (
	"bytes"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/cli/pkg/kvfile"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/fuzzed"
	"coin.internal/coin-agent/manifests"
)

// seeds adds each file with this name in testdata/load to the corpus.
func seeds(f *testing.F, name string) {
	f.Helper()
	cases, err := filepath.Glob("testdata/load/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range cases {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, one := range archive.Files {
			if filepath.Base(one.Name) == name {
				f.Add(one.Data)
			}
		}
	}
}

// load checks the properties of every outcome, and returns the node if there is one.
func load(t *testing.T, files map[string]string) *manifests.Node {
	t.Helper()
	var node *manifests.Node
	var err error
	fuzzed.Bounded(t, func() { node, err = manifests.Load(repository(files), "sandbox", "node3") })
	if (node == nil) == (err == nil) {
		t.Fatalf("got %v and %v", node, err)
	}
	for _, one := range fault.All(err) {
		if fault.Hint(one) == "" {
			t.Errorf("no hint: %v", one)
		}
	}
	if node != nil {
		again, err := manifests.Load(repository(files), "sandbox", "node3")
		if report(node, nil) != report(again, err) {
			t.Error("a second load differs")
		}
	}
	return node
}

func FuzzLoad(f *testing.F) {
	seeds(f, "config.yml")
	f.Add([]byte(production))
	f.Add([]byte(plainConfig))
	f.Add([]byte(layered("    stacks: [{name: app, path: ., prune: true}]\n")))
	f.Add([]byte(layered("    stacks: [{name: a, path: ., waits_for: []}, {name: b, path: b/../.., files: [x], waits_for: [a, b]}]\n")))
	f.Add([]byte("a: &a [*a]\nnodes: *a\n"))
	f.Fuzz(func(t *testing.T, config []byte) {
		node := load(t, map[string]string{"environments/sandbox/config.yml": string(config)})
		if node == nil {
			return
		}
		if node.Stack == "" || node.Config.HealthTimeout() <= 0 || len(node.Config.Order()) != len(node.Config.Nodes) {
			t.Errorf("an accepted config.yml is incomplete: %+v", node.Config)
		}
		for _, one := range node.Config.Nodes {
			earlier := map[string]bool{}
			for _, stack := range node.Config.StacksOf(one.Name) {
				if stack.Name == "" || earlier[stack.Name] || !fs.ValidPath(stack.Path) || slices.ContainsFunc(stack.WaitsFor, func(name string) bool { return !earlier[name] }) {
					t.Errorf("the stack %+v of node %s is accepted after %v", stack, one.Name, earlier)
				}
				earlier[stack.Name] = true
			}
		}
	})
}

func FuzzNodeEnv(f *testing.F) {
	seeds(f, "node.env")
	seeds(f, "secrets.override.env")
	f.Add([]byte(`A=$'\x41'"${B:-${C:-'d'}}"` + "\nexport D E=${A%%*-?}\n"))
	f.Fuzz(func(t *testing.T, source []byte) {
		for _, name := range []string{"node.env", "secrets.override.env"} {
			load(t, map[string]string{name: string(source)})
		}
	})
}

// FuzzOverrideEnv reads a secrets.override.env without its node, which allows more
// runs.
func FuzzOverrideEnv(f *testing.F) {
	seeds(f, "secrets.override.env")
	f.Add([]byte("SV_db_access=2\nexport SV_x=auto # c\napi_VERSION='3'\n"))
	f.Fuzz(func(t *testing.T, source []byte) {
		set, found := manifests.ReadOverrides(source)
		for name := range set {
			if name == "" {
				t.Errorf("a variable without a name, and %d faults", found)
			}
		}
	})
}

func FuzzSettings(f *testing.F) {
	f.Add([]byte("A={{B}}\nCLIENT_API={{.Node.ID}}\n"), []byte("B=1\r\n"), []byte("A\n"))
	f.Add([]byte("\ufeff{{A}}={{B}}"), []byte("A= \nB=\n"), []byte("REPORT_GENERATOR_=\n"))
	f.Fuzz(func(t *testing.T, template, common, project []byte) {
		node := load(t, map[string]string{templateFile: string(template), commonFile: string(common), "project.env": string(project)})
		if node == nil {
			return
		}
		content, err := fs.ReadFile(node.FS, nodeDir+".project.tmp.env")
		if err != nil {
			t.Fatal(err)
		}
		byDocker, err := kvfile.ParseFromReader(bytes.NewReader(content), func(string) (string, bool) { return "\x00", true })
		if err != nil {
			t.Fatalf("docker refuses the merged settings: %v", err)
		}
		if got := strings.ReplaceAll(strings.Join(append(byDocker, ""), "\n"), "=\x00", ""); got != string(content) {
			t.Errorf("docker reads %q as %q", content, got)
		}
	})
}

// FuzzRawSettings compares what docker reads from one file with what it reads from the
// agent's.
func FuzzRawSettings(f *testing.F) {
	f.Add([]byte("\ufeffA=\"b\"\r\n # c\nB= $x #y \nA=2\n"))
	f.Add([]byte("  A=1\nX\nY\n\tX=2\nX\nA\n"))
	environment := map[string]string{"X": "a\nb", "PROJECT_SETTINGS": ".project.tmp.env"}
	lookup := func(name string) (string, bool) { value, ok := environment[name]; return value, ok }
	read := func(t *testing.T, content []byte) (map[string]string, error) {
		t.Helper()
		found, err := kvfile.ParseFromReader(bytes.NewReader(content), lookup)
		all := map[string]string{}
		for _, line := range found {
			name, value, _ := strings.Cut(line, "=")
			all[name] = value
		}
		return all, err
	}
	f.Fuzz(func(t *testing.T, project []byte) {
		node := load(t, map[string]string{"project.env": string(project), "node.env": "X='a\nb'\n"})
		if node == nil {
			return
		}
		want, err := read(t, project)
		if err != nil {
			return // because of bytes in a comment: FuzzSettings covers the other lines
		}
		content, err := fs.ReadFile(node.FS, nodeDir+".project.tmp.env")
		if err != nil {
			t.Fatal(err)
		}
		got, err := read(t, content)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-docker +read):\n%s", err, diff)
		}
	})
}
