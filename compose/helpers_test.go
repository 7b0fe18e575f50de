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
	logrus.SetOutput(io.Discard) // libraries of the renderer log to it
	os.Exit(m.Run())
}

const (
	nodeDir = "environments/test/nodes/n/"
	config  = `environment: {name: test, type: non-production}
nodes:
  - {name: n, context: n, stack: shop}
`
)

// repository returns a repository with the node test/n, whose folder has the files. A
// name that starts with / is a path in the repository. By default it has a node.env
// and a common/project.env.
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

// renderFiles renders a node with these files, without keys.
func renderFiles(tb testing.TB, files map[string]string) (*compose.Stack, error) {
	tb.Helper()
	return render(tb, repository(files), "test", "n")
}

// mustRender renders a node with text as its only compose file.
func mustRender(tb testing.TB, text string) *compose.Stack {
	tb.Helper()
	stack, err := renderFiles(tb, map[string]string{"docker-compose.yml": text})
	if err != nil {
		tb.Fatal(err)
	}
	return stack
}

// render renders a node without keys.
func render(tb testing.TB, fsys fs.FS, environment, name string) (*compose.Stack, error) {
	tb.Helper()
	node := load(tb, fsys, environment, name)
	set, err := secrets.Seal(secretFiles(tb, node), secrets.Options{AllowPlaintext: node.Config.AllowPlaintextSecrets})
	if err != nil {
		tb.Fatalf("seal %s/%s: %v", environment, name, err)
	}
	return compose.Render(node, set, compose.Options{})
}

func load(tb testing.TB, fsys fs.FS, environment, name string) *manifests.Node {
	tb.Helper()
	node, err := manifests.Load(fsys, environment, name)
	if err != nil {
		tb.Fatalf("load %s/%s: %v", environment, name, err)
	}
	return node
}

func secretFiles(tb testing.TB, node *manifests.Node) []secrets.File {
	tb.Helper()
	var files []secrets.File
	for _, path := range node.SecretFiles {
		data, err := fs.ReadFile(node.FS, path)
		if err != nil {
			tb.Fatal(err)
		}
		files = append(files, secrets.File{Path: path, Data: data})
	}
	return files
}
