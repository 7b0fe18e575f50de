package store_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/preview"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/internal/memoryfolder"
)

// specs are services of so many bytes.
func specs(size int, letter string) json.RawMessage {
	return json.RawMessage(`{"is":"` + strings.Repeat(letter, size) + `"}`)
}

// deploy records a sync whose plan and good state have so many bytes.
func deploy(t *testing.T, stack *store.Stack, size int, letter string) {
	t.Helper()
	sync := &record.Sync{Commit: letter, State: record.Succeeded, Plan: specs(size, letter)}
	good := &record.GoodState{Commit: letter, At: began, StackName: "s", Services: specs(size, letter), Retention: record.Retention{Versions: 5}}
	if err := stack.SaveOutcome(sync, good); err != nil {
		t.Fatal(err)
	}
}

// deployed demands the deployed good state, and the commits of the syncs and of the good states.
func deployed(t *testing.T, stack *store.Stack, size int, letters ...string) {
	t.Helper()
	good, err := stack.Deployed()
	if err != nil || good == nil || !bytes.Equal(good.Services, specs(size, letters[0])) {
		t.Fatalf("another good state is deployed, or none, %v", err)
	}
	var syncs, states []string
	all, err := stack.Syncs(10)
	for _, one := range all {
		syncs = append(syncs, one.Commit)
	}
	recorded, goodErr := stack.Good(10)
	for _, one := range recorded {
		states = append(states, one.Commit)
	}
	if diff := cmp.Diff([][]string{letters, letters}, [][]string{syncs, states}); diff != "" || err != nil || goodErr != nil {
		t.Errorf("syncs and good states differ: %s, %v, %v", diff, err, goodErr)
	}
}

// written gives how many bytes of the state file a change writes, in whole pages.
func written(t *testing.T, dir string, change func() error) (bytesWritten int) {
	t.Helper()
	read := func() []byte {
		content, err := os.ReadFile(filepath.Join(dir, "state.db"))
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	before := read()
	if err := change(); err != nil {
		t.Fatal(err)
	}
	after, page := read(), os.Getpagesize()
	for at := 0; at < len(after); at += page {
		if at >= len(before) || !bytes.Equal(before[at:at+page], after[at:at+page]) {
			bytesWritten += page
		}
	}
	return bytesWritten
}

// A small record is written without the large ones of its kind, and of its stack.
func TestLargeRecords(t *testing.T) {
	const large = 400_000
	dir := memoryfolder.New(t)
	opened := open(t, dir)
	stack := opened.Stack(record.OnlyStack)
	for _, letter := range []string{"a", "b"} {
		deploy(t, stack, large, letter)
	}
	for what, change := range map[string]func() error{
		"a pause":           func() error { return stack.SavePause(&record.Pause{}) },
		"a sync":            func() error { return stack.SaveOutcome(&record.Sync{ID: 9, Commit: "small"}, nil) },
		"the audit head":    opened.SaveAuditHead,
		"a forgotten pause": func() error { return stack.SavePause(nil) },
	} {
		if n := written(t, dir, change); n > large/8 {
			t.Errorf("%s wrote %d bytes", what, n)
		}
	}
	if n := written(t, dir, func() error { deploy(t, stack, large, "c"); return nil }); n > 4*large {
		t.Errorf("a plan and two good states of %d bytes wrote %d", large, n)
	}
	shut(t, opened)
	read, err := store.OpenReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	if unreadable, err := read.Probe(); err != nil || len(unreadable) > 0 {
		t.Errorf("%v, %v", err, unreadable)
	}
	shut(t, read)
}

// Records grow, shrink and go, and are read the same.
func TestRecordsOfEachSize(t *testing.T) {
	opened := open(t, memoryfolder.New(t))
	stack, letters := opened.Stack(record.OnlyStack), []string{}
	for i, size := range []int{10, 5000, 4096, 100_000, 20} {
		letters = append([]string{string(rune('a' + i))}, letters...)
		deploy(t, stack, size, letters[0])
		deployed(t, stack, size, letters...)
	}
	page, err := opened.Page(record.Query{Limit: 10})
	if err != nil || len(page.Syncs) != len(letters) {
		t.Errorf("a page has %d syncs, %v", len(page.Syncs), err)
	}
	deploy(t, stack, 100_000, "z")
	if err := stack.SaveRemoved(&record.Sync{Commit: "removed"}); err != nil {
		t.Fatal(err)
	}
	if good, err := stack.Deployed(); good != nil || err != nil {
		t.Errorf("after the removal %+v is deployed, %v", good, err)
	}
	if good, err := stack.Good(100); len(good) > 0 || err != nil {
		t.Errorf("after the removal a rollback returns to %+v, %v", good, err)
	}
	deploy(t, stack, 5000, "y")
	if good, err := stack.Good(100); len(good) != 1 || err != nil {
		t.Errorf("listed again, a rollback returns to %+v, %v", good, err)
	}
}

// Large texts of previews and large reports are read and dropped, too.
func TestLargeTexts(t *testing.T) {
	opened := open(t, memoryfolder.New(t))
	book, text := opened.Previews(record.OnlyStack), strings.Repeat("text ", 2000)
	if err := book.SavePreview(preview.Shown{Number: 7, Head: text}, nil); err != nil {
		t.Fatal(err)
	}
	if shown, err := book.Previews(); err != nil || len(shown.Shown) != 1 || shown.Shown[0].Head != text {
		t.Errorf("%d previews, %v", len(shown.Shown), err)
	}
	outbox, entry := opened.Outbox(), &gitlab.Entry{Report: gitlab.Report{Commit: "c", Description: text}}
	if err := outbox.Save(entry); err != nil {
		t.Fatal(err)
	}
	if entries, err := outbox.Entries(); err != nil || len(entries) != 1 || entries[0].Report.Description != text {
		t.Errorf("%d entries, %v", len(entries), err)
	}
	if err := outbox.Settle(entry.Seq, entry.Report, gitlab.Trail{}); err != nil {
		t.Fatal(err)
	}
	if entries, err := outbox.Entries(); err != nil || len(entries) != 0 {
		t.Errorf("%d entries are left, %v", len(entries), err)
	}
}

// A file of schema 2 is migrated once, with a copy kept: its deployed good state gets a bucket of its own.
func TestMigrationOfLargeRecords(t *testing.T) {
	const large = 400_000
	dir := memoryfolder.New(t)
	opened := open(t, dir)
	deploy(t, opened.Stack(record.OnlyStack), 10, "a")
	deploy(t, opened.Stack("web"), 10, "b")
	shut(t, opened)
	edit(t, dir, func(tx *bbolt.Tx) error {
		for stack, letter := range map[record.StackKey]string{record.OnlyStack: "a", "web": "b"} {
			b := tx.Bucket([]byte("stacks")).Bucket([]byte(stack))
			data := bytes.Replace(b.Get([]byte("deployed")), specs(10, letter), specs(large, letter), 1)
			if err := b.Put([]byte("deployed"), data); err != nil {
				return err
			}
		}
		return tx.Bucket([]byte("meta")).Put([]byte("version"), []byte{0, 0, 0, 0, 0, 0, 0, 2})
	})
	for range 2 {
		opened = open(t, dir)
		deployed(t, opened.Stack(record.OnlyStack), large, "a")
		deployed(t, opened.Stack("web"), large, "b")
		if n := written(t, dir, opened.SaveAuditHead); n > large/8 {
			t.Errorf("the audit head wrote %d bytes", n)
		}
		if n := written(t, dir, func() error { return opened.Stack("web").SavePause(&record.Pause{}) }); n > large/8 {
			t.Errorf("a pause wrote %d bytes", n)
		}
		shut(t, opened)
	}
	if kept, err := os.Stat(filepath.Join(dir, "state.db.v2")); err != nil || kept.Size() < 2*large {
		t.Errorf("the copy is %+v, %v", kept, err)
	}
}
