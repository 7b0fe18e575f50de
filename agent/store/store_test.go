package store_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/memoryfolder"
)

const owner = "sandbox/node3"

func open(t *testing.T, dir string) *store.Store {
	t.Helper()
	store, err := store.Open(dir, owner, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// openReadOnly is store.OpenReadOnly where a variable has the package's name.
func openReadOnly(dir string) (*store.Store, error) { return store.OpenReadOnly(dir) }

func shut(t *testing.T, store *store.Store) {
	t.Helper()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "here")
	open(t, dir)
	for name, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "state.db"): 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
}

// One process at a time has the file, be it to write or to read.
func TestLocked(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if _, err := store.Open(dir, owner, nil); !errors.Is(err, store.ErrLocked) || fault.Hint(err) == "" {
		t.Errorf("opened twice: %v", err)
	}
	if _, err := store.OpenReadOnly(dir); !errors.Is(err, store.ErrLocked) {
		t.Errorf("read beside a writer: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(t *testing.T, dir string)
		want  string
	}{
		"another node": {func(t *testing.T, dir string) {
			t.Helper()
			store, err := store.Open(dir, "sandbox/node4", nil)
			if err != nil {
				t.Fatal(err)
			}
			shut(t, store)
		}, "the state file belongs to sandbox/node4, not to sandbox/node3"},
		"newer agent": {func(t *testing.T, dir string) {
			t.Helper()
			shut(t, open(t, dir))
			edit(t, dir, func(tx *bbolt.Tx) error {
				return tx.Bucket([]byte("meta")).Put([]byte("version"), []byte{0, 0, 0, 0, 0, 0, 0, 9})
			})
		}, "the state file has the schema of a newer agent (version 9, this agent knows 3)"},
		"damaged": {func(t *testing.T, dir string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, "state.db"), []byte(strings.Repeat("no state ", 4096)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "the state file is damaged: "},
		"a folder": {func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Mkdir(filepath.Join(dir, "state.db"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "the state file is damaged: "},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			test.spoil(t, dir)
			_, err := store.Open(dir, owner, nil)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) || fault.Hint(err) == "" {
				t.Errorf("got %v (%s), want %s", err, fault.Hint(err), test.want)
			}
		})
	}
	if _, err := store.OpenReadOnly(t.TempDir()); !errors.Is(err, os.ErrNotExist) || fault.Hint(err) == "" {
		t.Errorf("no file: %v", err)
	}
}

func edit(t *testing.T, dir string, change func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, "state.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.Update(change); err != nil {
		t.Fatal(err)
	}
}

// The history holds a thousand syncs; the newest come first.
func TestHistory(t *testing.T) {
	dir := t.TempDir()
	store := open(t, dir)
	if last, err := store.Stack(record.OnlyStack).LastSync(); err != nil || last != nil {
		t.Errorf("an empty history has %v, %v", last, err)
	}
	shut(t, store)
	edit(t, dir, func(tx *bbolt.Tx) error { return tx.Bucket([]byte("stacks")).SetSequence(999) })
	store = open(t, dir)
	for i := range 4 {
		sync := &record.Sync{Commit: string(rune('a' + i)), State: record.Succeeded}
		if err := store.Stack(record.OnlyStack).SaveOutcome(sync, nil); err != nil || sync.ID != uint64(1000+i) {
			t.Fatalf("saved as %d: %v", sync.ID, err)
		}
	}
	syncs, err := store.Stack(record.OnlyStack).Syncs(2)
	if err != nil || len(syncs) != 2 || syncs[0].Commit != "d" || syncs[1].Commit != "c" {
		t.Errorf("got %+v, %v", syncs, err)
	}
}

// The oldest sync of a stack goes when a thousand are there; those of other stacks stay.
func TestHistoryIsBounded(t *testing.T) {
	store := open(t, t.TempDir())
	other := store.Stack("other")
	if err := other.SaveOutcome(&record.Sync{Commit: "of another stack"}, nil); err != nil {
		t.Fatal(err)
	}
	stack := store.Stack(record.OnlyStack)
	for range 1002 {
		if err := stack.SaveOutcome(&record.Sync{Commit: "c"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	syncs, err := stack.Syncs(2000)
	if err != nil || len(syncs) != 1000 || syncs[999].ID != 4 {
		t.Errorf("%d syncs, %v", len(syncs), err)
	}
	if syncs, err := other.Syncs(10); err != nil || len(syncs) != 1 || syncs[0].ID != 1 {
		t.Errorf("the other stack has %+v, %v", syncs, err)
	}
	if _, oldest, newest, err := store.Sync(0); err != nil || oldest != 1 || newest != 1003 {
		t.Errorf("the history goes from %d to %d, %v", oldest, newest, err)
	}
}

// What was saved is there after a restart, to look at as well.
func TestSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	store := open(t, dir)
	sync := &record.Sync{Commit: "c", State: record.Succeeded, Started: time.Now().UTC(), Seconds: map[record.Stage]float64{"plan": 1}}
	applied := &record.GoodState{Commit: "c", StackName: "s", Owner: owner, Services: []byte(`{}`)}
	key := store.Objects().FingerprintKey()
	if err := errors.Join(store.Stack(record.OnlyStack).SaveOutcome(sync, applied), store.Objects().LearnFingerprints(map[string]string{"id": "print"}), store.Objects().LearnFingerprints(nil)); err != nil {
		t.Fatal(err)
	}
	shut(t, store)
	reader, err := openReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	last, err := reader.Stack(record.OnlyStack).LastSync()
	if diff := cmp.Diff(sync, last); diff != "" || err != nil {
		t.Error(diff, err)
	}
	shut(t, reader)
	store = open(t, dir)
	got, err := store.Stack(record.OnlyStack).Deployed()
	if diff := cmp.Diff(applied, got); diff != "" || err != nil || got.SyncID != sync.ID {
		t.Error(diff, err)
	}
	prints, err := store.Objects().Fingerprints()
	if diff := cmp.Diff(map[string]string{"id": "print"}, prints); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if string(key) != string(store.Objects().FingerprintKey()) || len(key) != 32 {
		t.Errorf("the key of %d bytes changed", len(key))
	}
}

func TestFaultsOfASync(t *testing.T) {
	one := record.Sync{Error: "a", Hint: "b"}
	several := record.Sync{Error: "a (and 1 more)", Faults: []record.Fault{{Error: "a"}, {Error: "c", Hint: "d"}}}
	if diff := cmp.Diff([]record.Fault{{Error: "a", Hint: "b"}}, one.All()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(several.Faults, several.All()); diff != "" {
		t.Error(diff)
	}
	if none := (&record.Sync{}).All(); len(none) > 0 {
		t.Errorf("a good sync has %v", none)
	}
}

// A sync that could not be saved has no number: the next one would get it, too.
func TestNumberOfAnUnsavedSync(t *testing.T) {
	stack := open(t, memoryfolder.New(t)).Stack(record.OnlyStack)
	first, second := &record.Sync{Commit: "a"}, &record.Sync{Commit: "b"}
	if err := stack.SaveOutcome(first, &record.GoodState{Services: json.RawMessage("{")}); err == nil {
		t.Fatal("a good state that is not JSON was saved")
	}
	if err := errors.Join(stack.SaveOutcome(first, nil), stack.SaveOutcome(second, nil)); err != nil {
		t.Fatal(err)
	}
	if syncs, err := stack.Syncs(10); err != nil || len(syncs) != 2 || first.ID == second.ID {
		t.Errorf("%d syncs, numbers %d and %d, %v", len(syncs), first.ID, second.ID, err)
	}
}
