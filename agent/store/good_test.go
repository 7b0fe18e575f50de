package store_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/internal/memoryfolder"
)

const day = 24 * time.Hour

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// prove records that a revision was applied and proven on a day.
func prove(t *testing.T, store *store.Store, on int, services string, retention record.Retention) {
	t.Helper()
	sync := &record.Sync{Commit: fmt.Sprintf("of day %d", on), State: record.Succeeded}
	applied := &record.GoodState{
		Commit: sync.Commit, At: began.Add(time.Duration(on) * day), StackName: "s", Services: json.RawMessage(`{"is":"` + services + `"}`),
		Retention: retention,
	}
	if err := store.Stack(record.OnlyStack).SaveOutcome(sync, applied); err != nil {
		t.Fatal(err)
	}
}

func wantGood(t *testing.T, store *store.Store, want ...string) {
	t.Helper()
	good, err := store.Stack(record.OnlyStack).Good(100)
	got := []string{}
	for _, one := range good {
		got = append(got, one.Commit)
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// A good state is recorded where something differs, and kept by count and by the
// time since another one took its place, not since it came.
func TestGoodStates(t *testing.T) {
	dir := memoryfolder.New(t)
	store := open(t, dir)
	rule := record.Retention{After: 10 * day, Versions: 1}
	prove(t, store, 0, "a", rule)
	prove(t, store, 1, "a", rule) // the same again
	wantGood(t, store, "of day 0")
	prove(t, store, 30, "b", rule)
	prove(t, store, 31, "c", rule)
	wantGood(t, store, "of day 31", "of day 30", "of day 0")
	if good, err := store.Stack(record.OnlyStack).Good(2); err != nil || len(good) != 2 {
		t.Errorf("asked for 2, got %d, %v", len(good), err)
	}
	prove(t, store, 39, "d", rule)
	wantGood(t, store, "of day 39", "of day 31", "of day 30", "of day 0")
	shut(t, store)

	store = open(t, dir)
	for on, want := range map[int][]string{
		39: {"of day 39", "of day 31", "of day 30", "of day 0"},
		40: {"of day 39", "of day 31", "of day 30"}, // ten days after b took a's place
	} {
		if good, err := store.Stack(record.OnlyStack).AllGood(began.Add(time.Duration(on) * day)); err != nil || len(good) != len(want) {
			t.Errorf("day %d: %d good states, %v", on, len(good), err)
		}
	}
	if err := store.Stack(record.OnlyStack).PruneGood(began.Add(41 * day)); err != nil {
		t.Fatal(err)
	}
	wantGood(t, store, "of day 39", "of day 31")
	if err := store.Stack(record.OnlyStack).PruneGood(began.Add(400 * day)); err != nil {
		t.Fatal(err)
	}
	wantGood(t, store, "of day 39", "of day 31") // the count
	prove(t, store, 401, "d", record.Retention{Versions: 3})
	prove(t, store, 402, "e", record.Retention{Versions: 3})
	prove(t, store, 403, "f", record.Retention{Versions: 1})
	wantGood(t, store, "of day 403", "of day 402")
}

// A state that went back to an older one is that one again: it takes no other one's
// place in the count.
func TestGoodStatesThatWentBack(t *testing.T) {
	store := open(t, memoryfolder.New(t))
	rule := record.Retention{After: 10 * day, Versions: 1}
	prove(t, store, 0, "a", rule)
	prove(t, store, 30, "b", rule)
	for on := 60; on < 62; on++ { // after releases that failed, each with another job
		sync := &record.Sync{Commit: fmt.Sprintf("of day %d", on), State: record.RolledBack}
		applied := &record.GoodState{
			Commit: sync.Commit, At: began.Add(time.Duration(on) * day), StackName: "s",
			Services: json.RawMessage(fmt.Sprintf(`{"is":"b %d"}`, on)), Retention: rule, Of: 2,
		}
		if err := store.Stack(record.OnlyStack).SaveOutcome(sync, applied); err != nil {
			t.Fatal(err)
		}
	}
	wantGood(t, store, "of day 61", "of day 60", "of day 30", "of day 0")
	prove(t, store, 90, "c", rule)
	wantGood(t, store, "of day 90", "of day 61", "of day 60", "of day 30")
}

func TestGoodStatesAreBounded(t *testing.T) {
	store := open(t, memoryfolder.New(t))
	for n := range 60 {
		prove(t, store, n, fmt.Sprint(n), record.Retention{After: 1000 * day, Versions: 1000})
	}
	if good, err := store.Stack(record.OnlyStack).Good(100); err != nil || len(good) != 50 || good[49].Commit != "of day 10" {
		t.Errorf("%d good states, %v", len(good), err)
	}
}

// A name that an object newly has is a difference; its rotation period is none.
func TestGoodStatesByNames(t *testing.T) {
	store := open(t, memoryfolder.New(t))
	for n, secrets := range [][]record.Object{
		{{Name: "a.1"}}, {{Name: "a.1", Rotate: day}}, {{Name: "a.2"}}, {{Name: "a.2"}, {Name: "b.1"}},
	} {
		applied := &record.GoodState{Commit: fmt.Sprint(n), At: began, Secrets: secrets, Services: json.RawMessage(`{}`), Retention: record.Retention{After: day}}
		if err := store.Stack(record.OnlyStack).SaveOutcome(&record.Sync{State: record.Succeeded}, applied); err != nil {
			t.Fatal(err)
		}
	}
	wantGood(t, store, "3", "2", "0")
}

// A state with the objects of the one before takes its place in all but its name: a rollback to
// it has the settings of the last commit.
func TestGoodStatesAreRenewed(t *testing.T) {
	store := open(t, memoryfolder.New(t))
	for n, state := range []record.GoodState{
		{Commit: "first", Release: "1", At: began, Drift: "report", Resolve: "always", Ignored: json.RawMessage(`{"s_web":[]}`), Unfit: "why"},
		{Commit: "second", Release: "2", At: began.Add(day), Drift: "correct", Resolve: "never", Freezes: json.RawMessage(`[]`)},
		{Commit: "third", Drift: "report", Ignored: json.RawMessage(`{"s_db":[]}`), Retention: record.Retention{After: day}},
		{Commit: "fourth", Drift: "report", Retention: record.Retention{After: day}, Unfit: "it was good before"},
	} {
		state.Services = json.RawMessage(`{}`)
		if err := store.Stack(record.OnlyStack).SaveOutcome(&record.Sync{State: record.Succeeded}, &state); err != nil {
			t.Fatal(err)
		}
		want := state
		want.SyncID, want.Commit, want.Release, want.At = 1, "first", "1", began
		if n > 0 {
			want.Unfit = ""
		}
		got, err := store.Stack(record.OnlyStack).Good(10)
		if diff := cmp.Diff([]record.GoodState{want}, got); diff != "" || err != nil {
			t.Errorf("after %d: %v %s", n+1, err, diff)
		}
		if deployed, err := store.Stack(record.OnlyStack).Deployed(); err != nil || deployed.Commit != state.Commit || deployed.Unfit != want.Unfit {
			t.Errorf("after %d, deployed: %+v, %v", n+1, deployed, err)
		}
	}
}

// The brief good states are the good states without what is most of them, also if an older agent
// has recorded them, whose records have other fields after that.
func TestBriefGood(t *testing.T) {
	dir := t.TempDir()
	opened := open(t, dir)
	stack, migration := opened.Stack(record.OnlyStack), int64(7)
	for n, nested := range []string{`[{"services":[]}]`, `[{"resolve":"","services":[]}]`, `[",\"resolve\":1,\"services\":"]`} {
		sync := &record.Sync{State: record.Succeeded}
		whole := &record.GoodState{
			Commit: fmt.Sprint(n), Release: "1", At: began, StackName: "s", Owner: "o", Drift: "report", Resolve: "always",
			Secrets: []record.Object{{Name: "a"}}, Configs: []record.Object{{Name: "b"}}, Vault: []record.VaultRead{{}}, Retention: record.Retention{After: day, Versions: 9},
			Freezes: json.RawMessage(nested), Ignored: json.RawMessage(nested), Migration: &migration, Rules: []string{"c"}, Approved: "d", Unfit: "e", Soak: &record.Soak{}, Of: 1,
			Services: json.RawMessage(fmt.Sprintf(`{"is":%d}`, n)), Networks: json.RawMessage(`{}`), Files: map[string]record.File{"f": {Sum: "g"}},
		}
		if err := stack.SaveOutcome(sync, whole); err != nil {
			t.Fatal(err)
		}
	}
	same := func() {
		t.Helper()
		want, err := opened.Stack(record.OnlyStack).Good(100)
		if err != nil || len(want) != 3 || len(want[0].Services) == 0 {
			t.Fatalf("%v, %v", want, err)
		}
		for i := range want {
			want[i].Services, want[i].Networks, want[i].Files = nil, nil, nil
		}
		got, err := opened.Stack(record.OnlyStack).BriefGood(began)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Error(err, diff)
		}
	}
	same()
	shut(t, opened)
	rewrite(t, dir, func(whole map[string]json.RawMessage, _ []byte) []byte { // as the agent before wrote it
		first := []byte{'{'}
		for _, key := range []string{"sync_id", "commit", "release", "at", "stack", "owner", "services"} {
			first = fmt.Appendf(first, "%q:%s,", key, whole[key])
			delete(whole, key)
		}
		rest, err := json.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		return append(first, rest[1:]...)
	})
	opened = open(t, dir)
	defer shut(t, opened)
	same()
}

// The services of a good state, most of its record, are not read for the brief one: here they cannot be.
func TestBriefGoodReadsTheBeginning(t *testing.T) {
	dir := t.TempDir()
	opened := open(t, dir)
	for _, soak := range []*record.Soak{nil, {}, {Services: []string{"s_web"}}} {
		state := &record.GoodState{At: began, Resolve: "always", Secrets: []record.Object{{Name: fmt.Sprint(soak)}}, Soak: soak, Services: json.RawMessage(`{"s_web":{}}`), Retention: record.Retention{After: day}}
		if err := opened.Stack(record.OnlyStack).SaveOutcome(&record.Sync{State: record.Succeeded}, state); err != nil {
			t.Fatal(err)
		}
	}
	shut(t, opened)
	rewrite(t, dir, func(_ map[string]json.RawMessage, whole []byte) []byte { return whole[:len(whole)-1] })
	opened = open(t, dir)
	defer shut(t, opened)
	if good, err := opened.Stack(record.OnlyStack).BriefGood(began); err != nil || len(good) != 3 {
		t.Errorf("%d good states, %v", len(good), err)
	}
}

// rewrite changes the records of the good states.
func rewrite(t *testing.T, dir string, change func(map[string]json.RawMessage, []byte) []byte) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, store.FileName), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("stacks")).Bucket([]byte(record.OnlyStack)).Bucket([]byte("good"))
		changed := map[string][]byte{}
		err := b.ForEach(func(key, data []byte) error {
			var fields map[string]json.RawMessage
			err := json.Unmarshal(data, &fields)
			changed[string(key)] = change(fields, bytes.Clone(data))
			return err
		})
		for key, data := range changed {
			err = errors.Join(err, b.Put([]byte(key), data))
		}
		return err
	})
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// The time counts from when nothing used an object first, and anew after it was
// used again. What does not change is not written.
func TestUnused(t *testing.T) {
	dir := memoryfolder.New(t)
	store := open(t, dir)
	for _, step := range []struct {
		on   int
		ids  []string
		want map[string]int
	}{
		{0, []string{"a", "b"}, map[string]int{"a": 0, "b": 0}},
		{1, []string{"a", "b", "c"}, map[string]int{"a": 0, "b": 0, "c": 1}},
		{2, []string{"b", "c"}, map[string]int{"b": 0, "c": 1}},
		{3, []string{"a", "b", "c"}, map[string]int{"a": 3, "b": 0, "c": 1}},
		{4, nil, map[string]int{}},
	} {
		got, err := store.Objects().SeeUnused(step.ids, began.Add(time.Duration(step.on)*day))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]time.Time{}
		for id, on := range step.want {
			want[id] = began.Add(time.Duration(on) * day)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("day %d: %s", step.on, diff)
		}
		shut(t, store)
		store = open(t, dir)
		if kept, err := store.Objects().Unused(); err != nil || !cmp.Equal(want, kept) {
			t.Errorf("day %d: then %v, %v", step.on, kept, err)
		}
	}
}
