package store_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/record"
)

// loaded gives how many bytes of a mapped file count as memory of this process.
func loaded(t *testing.T, file string) int {
	t.Helper()
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(smaps), file+"\n")
	size := regexp.MustCompile(`Rss:\s+(\d+) kB`).FindStringSubmatch(after)
	if !found || size == nil {
		t.Fatalf("%s is not mapped", file)
	}
	kib, err := strconv.Atoi(size[1])
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// Unload gives back what reading the history has brought into memory. The history stays, and
// takes more syncs. A write gives back what it has read by itself.
func TestUnload(t *testing.T) {
	dir := t.TempDir()
	store := open(t, dir)
	stack, plan := store.Stack(record.OnlyStack), planOf(1000)
	save := func(n int) {
		t.Helper()
		for i := range n {
			if err := stack.SaveOutcome(&record.Sync{Commit: fmt.Sprint(i), State: record.Succeeded, Plan: plan}, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	history := func() (n int, text string) {
		t.Helper()
		syncs, err := stack.Syncs(1000)
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(syncs)
		if err != nil {
			t.Fatal(err)
		}
		return len(syncs), string(data)
	}
	save(6)
	_, before := history()
	all := loaded(t, filepath.Join(dir, "state.db"))
	store.Unload()
	if left := loaded(t, filepath.Join(dir, "state.db")); all < 1<<20 || left > all/4 {
		t.Errorf("%d bytes of the file are in memory, before it were %d", left, all)
	}
	if _, after := history(); after != before {
		t.Error("the history has changed")
	}
	save(6)
	if left := loaded(t, filepath.Join(dir, "state.db")); left > all/4 {
		t.Errorf("%d bytes of the file are in memory after writes", left)
	}
	if got, _ := history(); got != 12 {
		t.Errorf("the history has %d syncs", got)
	}
	shut(t, store)
	store.Unload() // does nothing: the file is closed
}
