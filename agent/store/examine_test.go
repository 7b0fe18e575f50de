package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/memoryfolder"
)

// The doctor's look at the state folder names what is wrong and the remedy, and changes
// nothing.
func TestExamine(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(t *testing.T, dir string)
		owner   string
		text    string
		wrong   string
		hint    string
	}{
		"no folder": {func(t *testing.T, dir string) { t.Helper(); _ = os.Remove(dir) }, owner, "makes ", "", ""},
		"no file":   {func(*testing.T, string) {}, owner, "no state file yet", "", ""},
		"whole":     {func(t *testing.T, dir string) { t.Helper(); shut(t, open(t, dir)) }, owner, "is whole", "", ""},
		"in use":    {func(t *testing.T, dir string) { t.Helper(); open(t, dir) }, owner, "in use", "", ""},
		"foreign":   {func(t *testing.T, dir string) { t.Helper(); shut(t, open(t, dir)) }, "sandbox/node4", "", "belongs to sandbox/node3", "state directory"},
		"damaged": {func(t *testing.T, dir string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, "state.db"), []byte(strings.Repeat("no state", 4096)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, owner, "", "is damaged", "mv "},
		"unreadable record": {func(t *testing.T, dir string) {
			t.Helper()
			opened := open(t, dir)
			if err := opened.Stack(record.OnlyStack).SaveOutcome(&record.Sync{Commit: "a"}, nil); err != nil {
				t.Fatal(err)
			}
			shut(t, opened)
			edit(t, dir, func(tx *bbolt.Tx) error {
				return tx.Bucket([]byte("stacks")).Bucket([]byte(record.OnlyStack)).Bucket([]byte("syncs")).Put([]byte{0, 0, 0, 0, 0, 0, 0, 1}, []byte("{"))
			})
		}, owner, "", "sync #1 of stack default", "skips them"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := memoryfolder.New(t)
			test.prepare(t, dir)
			text, err := store.Examine(dir, test.owner)
			switch {
			case test.wrong == "" && (err != nil || !strings.Contains(text, test.text)):
				t.Errorf("got %q, %v", text, err)
			case test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong) || !strings.Contains(fault.Hint(err), test.hint)):
				t.Errorf("got %v, hint %q", err, fault.Hint(err))
			}
		})
	}
}

// A file in the place of the state folder, or of a folder above it, keeps the agent from starting.
func TestExamineFile(t *testing.T) {
	file := filepath.Join(memoryfolder.New(t), "state")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		if text, err := store.Examine(dir, owner); err == nil || !strings.Contains(err.Error(), "not a directory") || !strings.Contains(fault.Hint(err), "set state_dir") {
			t.Errorf("%s: got %q, %v, hint %q", dir, text, err, fault.Hint(err))
		}
	}
}
