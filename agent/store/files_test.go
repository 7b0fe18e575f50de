package store_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/internal/memoryfolder"
)

// keep records a good state that was made of files.
func keep(t *testing.T, store *store.Store, on int, files map[string]string) {
	t.Helper()
	applied := &record.GoodState{
		At: began.Add(time.Duration(on) * day), StackName: "s", Services: fmt.Appendf(nil, "%q", fmt.Sprint(on, files["node.env"], files["a/node.env"])), Retention: record.Retention{After: 5 * day, Versions: 1},
	}
	for name, content := range files {
		applied.Keep(name, []byte(content))
	}
	applied.KeepLink("link", "a/config.yml")
	if err := store.Stack(record.OnlyStack).SaveOutcome(&record.Sync{State: record.Succeeded}, applied); err != nil {
		t.Fatal(err)
	}
}

// contents is how many contents the file of a closed store has.
func contents(t *testing.T, dir string) (n int) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, "state.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	err = db.View(func(tx *bbolt.Tx) error { n = tx.Bucket([]byte("files")).Stats().KeyN; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Equal contents are stored once, and go with the last state that has them.
func TestFilesOfGoodStates(t *testing.T) {
	dir := memoryfolder.New(t)
	store := open(t, dir)
	keep(t, store, 0, map[string]string{"a/config.yml": "config", "a/node.env": "TAG=0", "a/same": "config"})
	keep(t, store, 1, map[string]string{"a/config.yml": "config", "a/node.env": "TAG=1"})
	good, err := store.Stack(record.OnlyStack).Good(10)
	if err != nil || len(good) != 2 {
		t.Fatalf("%d good states, %v", len(good), err)
	}
	for i, tag := range []string{"TAG=1", "TAG=0"} {
		files, err := store.Files(&good[i])
		if err != nil {
			t.Fatal(err)
		}
		if content, err := fs.ReadFile(files, "a/node.env"); err != nil || string(content) != tag {
			t.Errorf("got %q, %v, want %q", content, err, tag)
		}
		if to, err := fs.ReadLink(files, "link"); err != nil || to != "a/config.yml" {
			t.Errorf("the link leads to %q, %v", to, err)
		}
	}
	shut(t, store)
	if n := contents(t, dir); n != 3 {
		t.Errorf("%d contents, want 3", n)
	}
	store = open(t, dir)
	keep(t, store, 12, map[string]string{"a/node.env": "TAG=2"})
	keep(t, store, 22, map[string]string{"a/node.env": "TAG=3"})
	shut(t, store)
	if n := contents(t, dir); n != 2 {
		t.Errorf("%d contents once the first states are gone, want 2", n)
	}
}

// The rules that the next commit is judged by outlive the state that they come from.
func TestRulesOutliveTheirState(t *testing.T) {
	store := open(t, memoryfolder.New(t))
	defer shut(t, store)
	keep(t, store, 0, map[string]string{"a/node.env": "TAG=0"})
	first := &record.GoodState{}
	first.KeepRules([]byte("rules"))
	for on, contents := range []map[string][]byte{first.Contents, nil, nil} {
		good := &record.GoodState{
			At: began.Add(time.Duration(10*on) * day), StackName: "s", Services: fmt.Appendf(nil, "%d", on),
			Rules: first.Rules, Contents: contents, Retention: record.Retention{After: day, Versions: 1},
		}
		if err := store.Stack(record.OnlyStack).SaveOutcome(&record.Sync{State: record.Succeeded}, good); err != nil {
			t.Fatal(err)
		}
	}
	files, err := store.Files(&record.GoodState{Files: map[string]record.File{"config.yml": {Sum: first.Rules[0]}}})
	if err != nil {
		t.Fatal(err)
	}
	if content, err := fs.ReadFile(files, "config.yml"); err != nil || string(content) != "rules" {
		t.Errorf("got %q, %v", content, err)
	}
}

// Fifty states of a large node take little room: what differs is the tag.
func TestFilesTakeLittleRoom(t *testing.T) {
	dir := memoryfolder.New(t)
	store := open(t, dir)
	compose := strings.Repeat("  service: {image: \"registry/app:$TAG\", secrets: [a, b]}\n", 3000)
	for on := range 50 {
		keep(t, store, 0, map[string]string{"docker-compose.yml": compose, "node.env": fmt.Sprintf("TAG=%d", on)})
	}
	if good, err := store.Stack(record.OnlyStack).Good(100); err != nil || len(good) != record.KeepGood {
		t.Errorf("%d good states, %v", len(good), err)
	}
	shut(t, store)
	info, err := os.Stat(filepath.Join(dir, "state.db"))
	if err != nil || info.Size() > 1<<20 {
		t.Errorf("the file has %d bytes, %v", info.Size(), err)
	}
}

// A state that an older agent has recorded has no files, and can still be read.
func TestNoFiles(t *testing.T) {
	store := open(t, memoryfolder.New(t))
	defer shut(t, store)
	if files, err := store.Files(&record.GoodState{}); files != nil || err != nil {
		t.Errorf("got %v, %v", files, err)
	}
}

// Contents stay as long as a state of any stack has them, wherever its record names them, also
// beside specs that are full of digits.
func TestFilesOfOtherStacks(t *testing.T) {
	dir := memoryfolder.New(t)
	store := open(t, dir)
	save := func(key record.StackKey, on int, files ...string) *record.GoodState {
		t.Helper()
		good := &record.GoodState{
			At: began.Add(time.Duration(on) * day), StackName: strings.Repeat("s", on), Retention: record.Retention{After: day},
			Services: fmt.Appendf(nil, "%q", strings.Repeat("0123456789abcdef", 1<<16+on)),
		}
		for i, content := range files {
			good.Keep(fmt.Sprint("file", i), []byte(content))
		}
		if err := store.Stack(key).SaveOutcome(&record.Sync{State: record.Succeeded}, good); err != nil {
			t.Fatal(err)
		}
		return good
	}
	var all []string
	for i := range 100 {
		all = append(all, fmt.Sprint("content ", i))
	}
	stays := save("a", 0, all...)
	save("b", 1, append(all, "own")...)
	save("b", 30, "next")
	save("b", 60, "last")
	if files, err := store.Files(stays); err != nil {
		t.Error(err)
	} else if content, err := fs.ReadFile(files, "file99"); err != nil || string(content) != "content 99" {
		t.Errorf("got %q, %v", content, err)
	}
	shut(t, store)
	if n := contents(t, dir); n != len(all)+2 { // next and last
		t.Errorf("%d contents, want %d", n, len(all)+2)
	}
}

// Contents stay that only the beginning or the end of a record of many services names, whatever the
// files are called, and go with the record.
func TestFilesBesideManyServices(t *testing.T) {
	dir := memoryfolder.New(t)
	store := open(t, dir)
	save := func(on int, rules string, files map[string]string) *record.GoodState {
		t.Helper()
		good := &record.GoodState{
			At: began.Add(time.Duration(on) * day), StackName: "s", Retention: record.Retention{After: day, Versions: 1},
			Ignored:  []byte(`{"web":[],"services":[{"path":"a,\"services\":{"}]}`),
			Services: fmt.Appendf(nil, `{"web":{"files":{"a":{"number":%d}},"text":"%s"}}`, on, strings.Repeat("a", 1<<16)),
		}
		good.KeepRules([]byte(rules))
		for name, content := range files {
			good.Keep(name, []byte(content))
		}
		if err := store.Stack(record.OnlyStack).SaveOutcome(&record.Sync{State: record.Succeeded}, good); err != nil {
			t.Fatal(err)
		}
		return good
	}
	files := map[string]string{"a": "first", "files": "second", "sum": "third", "z\\\"files\":{": "fourth"}
	good := save(0, "rules", files)
	save(1, "rules of the next", map[string]string{"files": "fifth"})
	good.Files["rules"] = record.File{Sum: good.Rules[0]}
	files["rules"] = "rules"
	kept, err := store.Files(good)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if content, err := fs.ReadFile(kept, name); err != nil || string(content) != want {
			t.Errorf("%s: got %q, %v, want %q", name, content, err, want)
		}
	}
	save(30, "last rules", nil)
	save(60, "last rules", nil)
	shut(t, store)
	if n := contents(t, dir); n != 1 {
		t.Errorf("%d contents once the first states are gone, want 1", n)
	}
}

// BenchmarkSaveOutcome records a good state on a node with five stacks, each of which has all good
// states that are kept.
func BenchmarkSaveOutcome(b *testing.B) {
	store, err := store.Open(b.TempDir(), "sandbox/node3", nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	on := 0
	save := func(key string) {
		on++
		good := &record.GoodState{At: began, Retention: record.Retention{After: day}, Services: fmt.Appendf(nil, `[{"Name": "%d"}%s]`, on, strings.Repeat(`, {"Image": "registry/app:1", "Env": ["A=1"]}`, 1000))}
		good.Keep("docker-compose.yml", fmt.Append(nil, on))
		if err := store.Stack(record.StackKey(key)).SaveOutcome(&record.Sync{State: record.Succeeded}, good); err != nil {
			b.Fatal(err)
		}
	}
	for i := range 5 * record.KeepGood {
		save(fmt.Sprint("stack", i%5))
	}
	for b.Loop() {
		save("stack0")
	}
}
