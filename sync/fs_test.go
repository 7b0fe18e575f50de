package sync_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/fault"
	gitsync "coin.internal/coin-agent/sync"
	"coin.internal/coin-agent/sync/gittest"
)

func TestFS(t *testing.T) {
	made := example(t)
	made.Commit("Link", map[string]string{
		"here":             "-> environments/sandbox",
		"run.sh":           "#!/bin/sh\n",
		nodeDir + "/up":    "-> ../../common/../config.yml",
		nodeDir + "/chain": "-> ../../../../here/config.yml",
	})
	for name, to := range map[string]gitsync.Remote{
		"filter": remote(t, "http", made.Root(), gittest.Options{}),
		"whole":  remote(t, "http", made.Root(), gittest.Options{Whole: true}),
		"path":   remote(t, "path", made.Root(), gittest.Options{}),
	} {
		t.Run(name, func(t *testing.T) {
			checkout := fetch(t, open(t, to), "environments/sandbox/common")
			err := fstest.TestFS(checkout.FS, nodeDir+"/docker-compose.yml", nodeDir+"/secrets/db.enc", "here", nodeDir+"/chain", "run.sh")
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLinks(t *testing.T) {
	made := gittest.New(t)
	made.Write(map[string]string{
		"a/file":      "content\n",
		"a/b/c/file":  "deep\n",
		"link":        "-> a/file",
		"dir":         "-> a",
		"twice":       "-> dir/b/c",
		"climb":       "-> twice/../../file", // from the target of twice, not from its name
		"dangling":    "-> a/none",
		"escape":      "-> ../outside",
		"a/b/escape":  "-> ../../../outside",
		"through":     "-> escape/x",
		"absolute":    "-> /etc/passwd",
		"loop":        "-> pool",
		"pool":        "-> loop",
		"a/self":      "-> .",
		"pointer.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
	})
	made.Git("add", "--all")
	made.Git("update-index", "--add", "--cacheinfo", "160000,0123456789012345678901234567890123456789,module")
	made.Git("commit", "--quiet", "--message", "Link")
	files := fetch(t, open(t, gitsync.Remote{URL: made.Dir})).FS
	for _, c := range []struct{ name, want, wrong string }{
		{name: "link", want: "content\n"},
		{name: "dir/file", want: "content\n"},
		{name: "twice/file", want: "deep\n"},
		{name: "climb", want: "content\n"},
		{name: "a/self/self/file", want: "content\n"},
		{name: "dangling", wrong: "file does not exist"},
		{name: "link/x", wrong: "file does not exist"},
		{name: "escape", wrong: "escape: the path has a symbolic link that leaves the repository"},
		{name: "a/b/escape", wrong: "leaves the repository"},
		{name: "through", wrong: "leaves the repository"},
		{name: "absolute", wrong: "absolute: the symbolic link leaves the repository: /etc/passwd"},
		{name: "loop", wrong: "too many symbolic links"},
		{name: "module", wrong: "module: git submodules are not supported"},
		{name: "module/x", wrong: "git submodules are not supported"},
		{name: "pointer.bin", wrong: "pointer.bin: the file is a Git LFS pointer"},
		{name: "../outside", wrong: "invalid argument"},
		{name: "/a/file", wrong: "invalid argument"},
		{name: "dir", wrong: "is a folder"},
	} {
		t.Run(strings.ReplaceAll(c.name, "/", "_"), func(t *testing.T) {
			got, err := fs.ReadFile(files, c.name)
			switch {
			case c.wrong == "" && (err != nil || string(got) != c.want):
				t.Errorf("got %q, %v", got, err)
			case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
				t.Errorf("got %q, %v; want an error with %q", got, err, c.wrong)
			}
			var own *fault.Error
			if errors.As(err, &own) && own.Hint == "" {
				t.Errorf("no hint with: %v", err)
			}
		})
	}
	if _, err := fs.ReadDir(files, "module"); err == nil {
		t.Error("a submodule was listed")
	}
}

// readSome makes each kind of read: a file, a file through a link, a list of a folder, two
// folders without a list, and a missing file.
func readSome(t *testing.T, checkout *gitsync.Checkout) gitsync.Inputs {
	t.Helper()
	read(t, checkout, nodeDir+"/node.env")
	read(t, checkout, "env/config.yml")
	if _, err := fs.ReadDir(checkout.FS, nodeDir+"/secrets"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{nodeDir + "/secrets", "environments/sandbox/nodes/node4"} {
		if _, err := fs.Stat(checkout.FS, name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := fs.Stat(checkout.FS, "env/templates/project.env.template"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return checkout.Inputs()
}

func TestInputs(t *testing.T) {
	made := example(t)
	made.Commit("Link", map[string]string{"env": "-> environments/sandbox"})
	hash := func(name string) string { return made.Git("rev-parse", "HEAD:"+name) }
	listed := sha256.Sum256([]byte("100644 db.enc\x00"))
	want := gitsync.Inputs{
		nodeDir + "/node.env":              "100644 " + hash(nodeDir+"/node.env"),
		"env":                              "120000 " + hash("env"),
		"environments/sandbox/config.yml":  "100644 " + hash("environments/sandbox/config.yml"),
		nodeDir + "/secrets":               "040000 names " + hex.EncodeToString(listed[:]),
		"environments/sandbox/nodes/node4": "040000",
		"environments/sandbox/templates/project.env.template": "",
	}
	if diff := cmp.Diff(want, readSome(t, fetch(t, open(t, gitsync.Remote{URL: made.Dir})))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestSame(t *testing.T) {
	made := example(t)
	made.Commit("Link", map[string]string{"env": "-> environments/sandbox"})
	repo := open(t, gitsync.Remote{URL: gittest.HTTP(t, made.Root(), gittest.Options{}).URL + "/repo"})
	checkout := fetch(t, repo, nodeDir)
	stored, err := json.Marshal(readSome(t, checkout))
	if err != nil {
		t.Fatal(err)
	}
	var restored gitsync.Inputs
	if err := json.Unmarshal(stored, &restored); err != nil {
		t.Fatal(err)
	}
	start := made.Head()
	for _, c := range []struct {
		name  string
		files map[string]string
		same  bool
	}{
		{"nothing", nil, true},
		{"another node's file", map[string]string{"environments/sandbox/nodes/node4/project.env": "B=3\n"}, true},
		{"a file not read", map[string]string{nodeDir + "/docker-compose.yml": "x: 1\n"}, true},
		{"a file read", map[string]string{nodeDir + "/node.env": "TAG=2\n"}, false},
		{"a file through a link", map[string]string{"environments/sandbox/config.yml": "x: 1\n"}, false},
		{"the link", map[string]string{"env": "-> environments/./sandbox"}, false},
		{"a new file in a listed folder", map[string]string{nodeDir + "/secrets/new.enc": "{}\n"}, false},
		{"a folder gone", map[string]string{"environments/sandbox/nodes/node4": ""}, false},
		{"a file in a folder's place", map[string]string{"environments/sandbox/nodes/node4": "now a file\n"}, false},
		{"what was absent", map[string]string{"environments/sandbox/templates/project.env.template": "X\n"}, false},
		{"beside what was absent", map[string]string{"environments/sandbox/templates/other": "X\n"}, true},
		{"a link above what was absent", map[string]string{"environments/sandbox/templates": "-> common"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			made.Reset(start)
			made.Commit(c.name, c.files)
			if got := fetch(t, repo).Same(restored); got != c.same {
				t.Errorf("Same = %t, want %t", got, c.same)
			}
		})
	}
	if checkout.Same(gitsync.Inputs{"../x": ""}) || (&gitsync.Checkout{}).Same(nil) {
		t.Error("Same is true for an unknown tree")
	}
}

func TestConcurrentReads(t *testing.T) {
	for _, kind := range []string{"http", "path"} {
		t.Run(kind, func(t *testing.T) {
			checkout := fetch(t, open(t, remote(t, kind, example(t).Root(), gittest.Options{})))
			var readers sync.WaitGroup
			for range 8 {
				readers.Go(func() {
					err := fs.WalkDir(checkout.FS, ".", func(name string, entry fs.DirEntry, err error) error {
						if err != nil || entry.IsDir() {
							return err
						}
						_, err = fs.ReadFile(checkout.FS, name)
						checkout.Same(checkout.Inputs())
						return err
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
			readers.Wait()
		})
	}
}

func TestLazyReadFails(t *testing.T) {
	server := gittest.HTTP(t, example(t).Root(), gittest.Options{})
	checkout := fetch(t, open(t, gitsync.Remote{URL: server.URL + "/repo"}), nodeDir)
	server.Fail(503)
	read(t, checkout, nodeDir+"/node.env")
	_, err := fs.ReadFile(checkout.FS, "environments/sandbox/config.yml")
	if !errors.Is(err, gitsync.ErrUnreachable) || !strings.HasPrefix(err.Error(), "read environments/sandbox/config.yml: ") {
		t.Errorf("got %v", err)
	}
	server.Fail(0)
	read(t, checkout, "environments/sandbox/config.yml")
}

// The files that were read can be stored, and read again without the remote.
func TestFiles(t *testing.T) {
	made := gittest.New(t)
	made.Commit("First", map[string]string{"a/file": "content\n", "link": "-> a", "unread": "x\n"})
	checkout := fetch(t, open(t, remote(t, "http", made.Root(), gittest.Options{})))
	if _, err := fs.ReadFile(checkout.FS, "link/file"); err != nil {
		t.Fatal(err)
	}
	if _, err := fs.ReadFile(checkout.FS, "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	contents, links, err := checkout.Files()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]byte{"a/file": []byte("content\n")}, contents); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"link": "a"}, links); diff != "" {
		t.Error(diff)
	}
}
