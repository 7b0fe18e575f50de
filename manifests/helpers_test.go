package manifests_test

import (
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

var update = flag.Bool("update", false, "rewrite golden files")

const plainConfig = `environment:
  name: sandbox
  type: non-production
nodes:
  - name: node3
    context: wlt-sbx-dkapp3-ams
    stack: sbxapp3
`

const nodeDir = "environments/sandbox/nodes/node3/"

// repository makes a small valid repository and adds files. A name without a slash is
// in the node's folder.
func repository(files map[string]string) fstest.MapFS {
	all := map[string]string{
		"environments/sandbox/config.yml": plainConfig,
		nodeDir + "docker-compose.yml":    "services: {}\n",
		nodeDir + "node.env":              "TAG=1\n",
		nodeDir + "project.env":           "A=1\n",
	}
	for name, content := range files {
		if !strings.Contains(name, "/") {
			name = nodeDir + name
		}
		all[name] = content
	}
	fsys := fstest.MapFS{}
	for name, content := range all {
		fsys[name] = &fstest.MapFile{Data: []byte(content), Mode: 0o644}
	}
	return fsys
}

// report writes a load's outcome for comparison with golden files.
func report(node *manifests.Node, err error) string {
	var b strings.Builder
	for _, one := range fault.All(err) {
		fmt.Fprintf(&b, "error: %v\n hint: %s\n", one, fault.Hint(one))
	}
	if node == nil {
		return b.String()
	}
	fmt.Fprintf(&b, "%s/%s stack %s in %s\n", node.Environment, node.Name, node.Stack, node.Dir)
	for _, file := range node.ComposeFiles {
		fmt.Fprintf(&b, "compose %s\n", file)
	}
	for _, file := range node.SecretFiles {
		fmt.Fprintf(&b, "secrets %s\n", file)
	}
	for _, name := range slices.Sorted(maps.Keys(node.Variables)) {
		fmt.Fprintf(&b, "%s=%q (%s)\n", name, node.Variables[name].Value, node.Variables[name].Place)
	}
	derived, _ := fs.Glob(node.FS, node.Dir+"/.project*.tmp.env")
	for _, file := range derived {
		content, _ := fs.ReadFile(node.FS, file)
		fmt.Fprintf(&b, "-- %s\n%s", strings.TrimPrefix(file, node.Dir+"/"), content)
	}
	for _, warning := range node.Warnings {
		fmt.Fprintf(&b, "warning: %v\n hint: %s\n", warning, warning.Hint)
	}
	return b.String()
}

// wantFault checks that err has a fault with this text and that it has a hint.
func wantFault(t *testing.T, err error, want string) {
	t.Helper()
	for _, one := range fault.All(err) {
		if strings.Contains(one.Error(), want) {
			if fault.Hint(one) == "" {
				t.Errorf("no hint: %v", one)
			}
			return
		}
	}
	t.Errorf("got %v, want a fault with %q", err, want)
}
