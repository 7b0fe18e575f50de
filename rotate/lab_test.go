package rotate_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/proposal"
	"coin.internal/coin-agent/rotate"
	"coin.internal/coin-agent/secrets"
	"coin.internal/coin-agent/sync/gittest"
)

const (
	nodes = "environments/sandbox/nodes/"

	config = `environment: {name: sandbox, type: non-production}
nodes:
  - {name: node3, context: c3, stack: app3}
  - {name: node4, context: c4, stack: app4}
  - {name: node5, context: c5, stack: app5}
`
	stack = `services:
  web: {image: "web:1", secrets: [db_access]}
secrets:
  db_access: {file: ./secrets/db_access, name: db_access.$SV_db_access}
  server.key: {file: ./secrets/server.key, name: server.key.$SV_server_key}
`
	without = `services:
  web: {image: "web:1"}
`
)

// lab is a repository with its working copy, and the key that opens it.
type lab struct {
	*gittest.Repo
	t    *testing.T
	key  sopstest.Key
	keys *secrets.Keyring
}

// newLab makes a repository of three nodes: node3 and node4 have the same db_access, and
// readable versions in secrets.override.enc; node5 does not have secrets. change adds,
// replaces and removes ("") files.
func newLab(t *testing.T, change func(key sopstest.Key, files map[string]string)) *lab {
	t.Helper()
	gittest.Person(t)
	l := &lab{Repo: gittest.New(t), t: t, key: sopstest.NewKey(t)}
	l.keys = l.key.Keyring(t)
	files := map[string]string{
		"environments/sandbox/config.yml":  config,
		"environments/README":              "untouched",
		nodes + "node5/docker-compose.yml": without,
		nodes + "node5/node.env":           "TAG=1\n",
	}
	for _, node := range []string{"node3", "node4"} {
		files[nodes+node+"/docker-compose.yml"] = stack
		files[nodes+node+"/node.env"] = "TAG=1\n"
		files[nodes+node+"/secrets.enc"] = sopstest.YAML(t, l.key, map[string]string{"db_access": "canary-old", "server.key": "canary-key-" + node})
		files[nodes+node+"/secrets.override.enc"] = sopstest.YAML(t, l.key, map[string]string{"SV_db_access": "3", "SV_server_key": "1"})
	}
	if change != nil {
		change(l.key, files)
	}
	l.Commit("Start", files)
	return l
}

func generated(name string, only ...string) rotate.Request {
	return rotate.Request{Name: name, Environment: "sandbox", Nodes: only, Generate: rotate.Generate{Length: 24, Charset: "hex"}}
}

func given(name, value string, only ...string) rotate.Request {
	return rotate.Request{Name: name, Environment: "sandbox", Nodes: only, Value: secrets.NewValue([]byte(value))}
}

func (l *lab) rotate(request rotate.Request) (*rotate.Result, error) {
	l.t.Helper()
	tree, err := proposal.OpenWorktree(l.t.Context(), l.Dir)
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	return rotate.Run(l.t.Context(), tree, l.keys, request)
}

func (l *lab) must(request rotate.Request) *rotate.Result {
	l.t.Helper()
	result, err := l.rotate(request)
	if err != nil {
		l.t.Fatalf("rotate: %v", err)
	}
	if status := l.Git("status", "--porcelain"); status != "" {
		l.t.Errorf("the working copy is not clean:\n%s", status)
	}
	return result
}

// sees gives the value and the name in Swarm of a node's secret, as a sync renders them.
func (l *lab) sees(node, key string) (value, name string) {
	l.t.Helper()
	fsys := os.DirFS(l.Dir)
	loaded, err := manifests.Load(fsys, "sandbox", node)
	if err != nil {
		l.t.Fatal(err)
	}
	var files []secrets.File
	for _, path := range loaded.SecretFiles {
		data, err := fs.ReadFile(fsys, path)
		if err != nil {
			l.t.Fatal(err)
		}
		files = append(files, secrets.File{Path: path, Data: data})
	}
	set, err := l.keys.Open(files, secrets.Options{})
	if err != nil {
		l.t.Fatal(err)
	}
	defer set.Wipe()
	rendered, err := compose.Render(loaded, set, compose.Options{})
	if err != nil {
		l.t.Fatal(err)
	}
	for _, secret := range rendered.Secrets {
		if secret.Key == key {
			return string(secret.Value.Reveal()), secret.Spec.Name
		}
	}
	l.t.Fatalf("node %s has no secret %s", node, key)
	return "", ""
}

// changed gives the number of lines that the last commit added and removed, per file.
func (l *lab) changed() string {
	l.t.Helper()
	return l.Git("diff", "--numstat", "HEAD~", "HEAD")
}

// everywhere gives the whole content of the working copy and of git's objects.
func (l *lab) everywhere(ctx context.Context) string {
	l.t.Helper()
	var all bytes.Buffer
	err := filepath.WalkDir(l.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		all.WriteString(path)
		all.Write(content)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	command := exec.CommandContext(ctx, "git", "cat-file", "--batch-all-objects", "--batch")
	command.Dir = l.Dir
	objects, err := command.Output()
	if err != nil || !strings.Contains(string(objects), "Start") {
		l.t.Fatalf("read git's objects: %v", err)
	}
	all.Write(objects)
	return all.String()
}
