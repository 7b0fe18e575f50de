package prepare_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"coin.internal/coin-agent/prepare"
	"coin.internal/coin-agent/proposal"
	"coin.internal/coin-agent/sync/gittest"
)

const (
	nodes  = "environments/sandbox/nodes/"
	first  = "2025-12-05-ecacdc6c25"
	second = "2025-12-15-11eeef9e99"
	third  = "2026-01-10-0123456789"

	config = `environment: {name: sandbox, type: non-production}
base: {registry: registry.coin.example/coin/release}
nodes:
  - {name: node3, context: c3, stack: app3}
  - {name: node4, context: c4, stack: app4}
`
	original = `services:
  web:
    image: "registry.coin.example/coin/web:$TAG_WEB"
    environment:
      LEVEL: info
    deploy:
      replicas: 1
`
	settings = `# The release.
export TAG="` + first + `" # of all services
RELEASE_VERSION=25.21
`
)

// lab is a repository with its working copy.
type lab struct {
	*gittest.Repo
	t     *testing.T
	older []string // what was asked
	agree bool
}

// newLab makes a repository of two nodes with the first release. change adds, replaces and removes
// ("") files.
func newLab(t *testing.T, change map[string]string) *lab {
	t.Helper()
	gittest.Person(t)
	l := &lab{Repo: gittest.New(t), t: t}
	files := map[string]string{
		"environments/sandbox/config.yml":              config,
		"environments/sandbox/common/project.env":      "A=1\n",
		"releases/" + first + "/docker-compose.yml":    original,
		nodes + "node3/docker-compose.yml":             original,
		nodes + "node3/node.env":                       settings,
		nodes + "node4/docker-compose.yml":             original,
		nodes + "node4/node.env":                       settings,
		"environments/sandbox/nodes/node4/project.env": "B=1\n",
	}
	for name, text := range change {
		files[name] = text
		if text == "" {
			delete(files, name)
		}
	}
	l.Commit("Start", files)
	return l
}

// packed makes a bundle of files, in base64.
func packed(files map[string]string) []byte {
	var archive bytes.Buffer
	zipped := gzip.NewWriter(&archive)
	writer := tar.NewWriter(zipped)
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		_ = writer.WriteHeader(&tar.Header{Name: "coin-release/" + name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(files[name]))})
		_, _ = io.WriteString(writer, files[name])
	}
	_ = writer.Close()
	_ = zipped.Close()
	return []byte(base64.StdEncoding.EncodeToString(archive.Bytes()))
}

func source(bundle []byte) prepare.Source {
	return func(_ context.Context, into io.Writer) error {
		_, err := into.Write(bundle)
		return err
	}
}

// release gives a bundle with a docker-compose.yml.
func release(compose string) prepare.Source {
	return source(packed(map[string]string{"docker-compose.yml": compose, "deploy.sh": "#!/bin/sh\n"}))
}

func request(tag string, only ...string) prepare.Request {
	return prepare.Request{Release: prepare.Release{Environment: "sandbox", Tag: tag}, Nodes: only}
}

func (l *lab) prepare(bundle prepare.Source, request prepare.Request) (*prepare.Result, error) {
	l.t.Helper()
	return l.prepareFrom(bundle, func(string) prepare.Source { return nil }, request)
}

func (l *lab) prepareFrom(bundle prepare.Source, base func(string) prepare.Source, request prepare.Request) (*prepare.Result, error) {
	l.t.Helper()
	tree, err := proposal.OpenWorktree(l.t.Context(), l.Dir)
	if err != nil {
		return nil, err
	}
	defer tree.Close()
	return prepare.Run(l.t.Context(), tree, prepare.Tools{Bundle: bundle, Base: base, Older: func(tag, present string) (bool, error) {
		l.older = append(l.older, tag+" after "+present)
		return l.agree, nil
	}}, request)
}

func (l *lab) must(bundle prepare.Source, request prepare.Request) *prepare.Result {
	l.t.Helper()
	result, err := l.prepare(bundle, request)
	if err != nil {
		l.t.Fatalf("prepare: %v", err)
	}
	if status := l.Git("status", "--porcelain"); status != "" {
		l.t.Errorf("the working copy is not clean:\n%s", status)
	}
	return result
}

// merged merges what was prepared, as GitLab does.
func (l *lab) merged() {
	l.t.Helper()
	branch := l.Git("symbolic-ref", "--short", "HEAD")
	l.Git("switch", "--quiet", "master")
	l.Git("merge", "--quiet", "--squash", branch)
	l.Git("commit", "--quiet", "--message", "Merge "+branch)
	l.Git("branch", "--quiet", "-D", branch)
}

// state gives the state of git and of the working copy.
func (l *lab) state() string {
	l.t.Helper()
	return l.Git("--no-optional-locks", "status", "--branch", "--porcelain") + l.Git("for-each-ref") + l.Git("--no-optional-locks", "diff", "HEAD")
}

func (l *lab) read(name string) string {
	l.t.Helper()
	content, err := os.ReadFile(filepath.Join(l.Dir, name))
	if err != nil {
		l.t.Fatal(err)
	}
	return string(content)
}

func replaced(text string, pairs ...string) string {
	return strings.NewReplacer(pairs...).Replace(text)
}
