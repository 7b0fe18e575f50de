package compose_test

import (
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sirupsen/logrus"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

func TestMain(m *testing.M) {
	logrus.SetOutput(io.Discard) // libraries of the renderer log there
	os.Exit(m.Run())
}

const (
	nodeDir = "environments/test/nodes/n/"
	config  = `environment: {name: test, type: non-production}
nodes:
  - {name: n, context: n, stack: shop}
`
)

// repository gives one with the node test/n, whose folder has the files; a name
// that starts with / is a path in the repository. There is a node.env and a
// common/project.env unless files say otherwise.
func repository(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{
		"environments/test/config.yml":         {Data: []byte(config)},
		"environments/test/common/project.env": {Data: []byte("COMMON=1\n")},
		nodeDir + "node.env":                   {Data: []byte("TAG=1\n")},
	}
	for name, text := range files {
		path, ok := strings.CutPrefix(name, "/")
		if !ok {
			path = nodeDir + name
		}
		fsys[path] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

// renderFiles renders a node that has these files, without keys.
func renderFiles(t testing.TB, files map[string]string) (*compose.Stack, error) {
	t.Helper()
	return render(t, repository(files), "test", "n")
}

// mustRender renders a node whose only compose file is text.
func mustRender(t testing.TB, text string) *compose.Stack {
	t.Helper()
	stack, err := renderFiles(t, map[string]string{"docker-compose.yml": text})
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

// render renders a node without keys.
func render(t testing.TB, fsys fs.FS, environment, name string) (*compose.Stack, error) {
	t.Helper()
	node := load(t, fsys, environment, name)
	set, err := secrets.Seal(secretFiles(t, node), secrets.Options{AllowPlaintext: node.Config.AllowPlaintextSecrets})
	if err != nil {
		t.Fatalf("seal %s/%s: %v", environment, name, err)
	}
	return compose.Render(node, set, compose.Options{})
}

func load(t testing.TB, fsys fs.FS, environment, name string) *manifests.Node {
	t.Helper()
	node, err := manifests.Load(fsys, environment, name)
	if err != nil {
		t.Fatalf("load %s/%s: %v", environment, name, err)
	}
	return node
}

func secretFiles(t testing.TB, node *manifests.Node) []secrets.File {
	t.Helper()
	var files []secrets.File
	for _, path := range node.SecretFiles {
		data, err := fs.ReadFile(node.FS, path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, secrets.File{Path: path, Data: data})
	}
	return files
}
