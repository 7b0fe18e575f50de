package store_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/memoryfolder"
)

// copyOf gives a folder with a state file of an older schema from testdata.
func copyOf(t *testing.T, name string) (dir string, content []byte) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "v1", name, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	dir = memoryfolder.New(t)
	if err := os.WriteFile(filepath.Join(dir, "state.db"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, content
}

// A file of schema 1 is migrated once, with a copy kept, and has all its records.
func TestMigration(t *testing.T) {
	for name, want := range map[string]struct {
		state record.State
		id    uint64
	}{
		"approval":    {record.Waiting, 1},
		"held":        {record.Failed, 2},
		"pinned":      {record.RolledBack, 3},
		"group":       {record.Succeeded, 2},
		"rollingback": {record.Running, 2},
		"undelivered": {record.Succeeded, 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir, before := copyOf(t, name)
			for range 2 {
				opened := open(t, dir)
				stack := opened.Stack(record.OnlyStack)
				last, err := stack.LastSync()
				if err != nil || last == nil || last.State != want.state || last.ID != want.id {
					t.Errorf("the last sync is %+v, %v", last, err)
				}
				good, err := stack.Good(10)
				if deployed, deployedErr := stack.Deployed(); err != nil || deployedErr != nil || (deployed == nil) != (name == "approval") || (len(good) == 0) != (name == "approval") {
					t.Errorf("deployed %+v, good %d, %v, %v", deployed, len(good), err, deployedErr)
				}
				if unreadable, err := opened.Probe(); err != nil || len(unreadable) > 0 {
					t.Errorf("%v, %v", err, unreadable)
				}
				shut(t, opened)
			}
			kept, err := os.ReadFile(filepath.Join(dir, "state.db.v1"))
			if err != nil || len(kept) == 0 {
				t.Fatalf("the copy has %d bytes of %d, %v", len(kept), len(before), err)
			}
			checkCopy(t, dir)
		})
	}
}

// checkCopy demands that the copy is a whole file of schema 1.
func checkCopy(t *testing.T, dir string) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, "state.db.v1"), 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.View(func(tx *bbolt.Tx) error {
		if found := tx.Bucket([]byte("meta")).Get([]byte("version")); !bytes.Equal(found, []byte{0, 0, 0, 0, 0, 0, 0, 1}) || tx.Bucket([]byte("syncs")) == nil {
			t.Errorf("the copy has schema %v", found)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// What GitLab has not taken, and what it was told, is migrated too.
func TestMigrationOfReports(t *testing.T) {
	dir, _ := copyOf(t, "undelivered")
	outbox := open(t, dir).Outbox()
	entries, err := outbox.Entries()
	if err != nil || len(entries) != 2 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	trail, err := outbox.Trail(entries[0].Report)
	if err != nil || trail.PipelineID != 77 {
		t.Errorf("the trail is %+v, %v", trail, err)
	}
}

// To read a file of an older schema is refused: the agent migrates it when it starts.
func TestReadOnlyDoesNotMigrate(t *testing.T) {
	dir, before := copyOf(t, "held")
	if _, err := store.OpenReadOnly(dir); err == nil || !strings.Contains(err.Error(), "older agent") || fault.Hint(err) == "" {
		t.Errorf("got %v", err)
	}
	if after, err := os.ReadFile(filepath.Join(dir, "state.db")); err != nil || !cmp.Equal(before, after) {
		t.Errorf("the file was changed, %v", err)
	}
}

// Zeroed pages, cut files and foreign content are a damaged file with a remedy, never a
// panic.
func TestDamagedFile(t *testing.T) {
	_, whole := copyOf(t, "held")
	page := os.Getpagesize()
	for first := range len(whole) / page {
		for _, spoil := range []struct {
			name string
			with func([]byte) []byte
		}{
			{"zeroed", func(b []byte) []byte { clear(b[first*page : (first+1)*page]); return b }},
			{"cut", func(b []byte) []byte { return b[:first*page] }},
			{"overwritten", func(b []byte) []byte {
				copy(b[first*page:(first+1)*page], bytes.Repeat([]byte{0xff, 0x01, 0x80}, page))
				return b
			}},
		} {
			dir := memoryfolder.New(t)
			if err := os.WriteFile(filepath.Join(dir, "state.db"), spoil.with(bytes.Clone(whole)), 0o600); err != nil {
				t.Fatal(err)
			}
			opened, err := store.Open(dir, owner, nil)
			if err != nil {
				if !strings.Contains(fault.Hint(err), "mv "+filepath.Join(dir, "state.db")+" ") && !strings.Contains(err.Error(), "belongs to") {
					t.Errorf("page %d %s: %v, hint %q", first, spoil.name, err, fault.Hint(err))
				}
				continue
			}
			if _, err := opened.Probe(); err != nil {
				t.Errorf("page %d %s: opened, then %v", first, spoil.name, err)
			}
			shut(t, opened)
		}
	}
}

// An unreadable record is skipped and named; later outcomes are recorded.
func TestUnreadableRecord(t *testing.T) {
	dir := memoryfolder.New(t)
	opened := open(t, dir)
	stack := opened.Stack(record.OnlyStack)
	for _, commit := range []string{"a", "b"} {
		if err := stack.SaveOutcome(&record.Sync{Commit: commit}, &record.GoodState{Commit: commit, StackName: commit, At: began, Retention: record.Retention{Versions: 5}}); err != nil {
			t.Fatal(err)
		}
	}
	shut(t, opened)
	edit(t, dir, func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("stacks")).Bucket([]byte(record.OnlyStack))
		for _, name := range []string{"syncs", "good"} {
			if err := b.Bucket([]byte(name)).Put([]byte{0, 0, 0, 0, 0, 0, 0, 1}, []byte("no json")); err != nil {
				return err
			}
		}
		return b.Put([]byte("pause"), []byte("{"))
	})
	opened = open(t, dir)
	stack = opened.Stack(record.OnlyStack)
	if pause, err := stack.Pause(); pause != nil || err != nil {
		t.Errorf("got %+v, %v", pause, err)
	}
	if err := stack.SaveOutcome(&record.Sync{Commit: "c"}, &record.GoodState{Commit: "c", StackName: "c", At: began, Retention: record.Retention{Versions: 5}}); err != nil {
		t.Error(err)
	}
	syncs, err := stack.Syncs(10)
	if err != nil || len(syncs) != 2 || syncs[0].Commit != "c" || syncs[1].Commit != "b" {
		t.Errorf("the history is %+v, %v", syncs, err)
	}
	if good, err := stack.Good(10); err != nil || len(good) != 2 {
		t.Errorf("%d good states, %v", len(good), err)
	}
	unreadable, err := opened.Probe()
	if err != nil {
		t.Fatal(err)
	}
	named := strings.Join(unreadable, "; ")
	for _, want := range []string{"good state #1 of stack default: ", "pause of stack default: ", "sync #1 of stack default: "} {
		if !strings.Contains(named, want) {
			t.Errorf("unreadable are %q, without %q", named, want)
		}
	}
}
