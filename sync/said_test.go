package sync_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/sync/gittest"
)

// TestWhatCommitsSay reads what commits say of themselves that the agent has to record: a time
// that JSON cannot have, and lines that would be kept with each sync.
func TestWhatCommitsSay(t *testing.T) {
	made := example(t)
	tree := made.Git("rev-parse", "HEAD^{tree}")
	repo := open(t, remote(t, "http", made.Root(), gittest.Options{}))
	for said, want := range map[string]time.Time{
		"99999999999999 +0000":      {}, // in the year 3170843
		"9223372036854775807 +0000": {},
		"-99999999999999 +0000":     {},
		"1735689600 +9900":          time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC),
		"253402300799 -1200":        time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	} {
		name, line := strings.Repeat("é", 1<<14), strings.Repeat("ü", 1<<14)
		file := filepath.Join(t.TempDir(), "commit")
		text := "tree " + tree + "\nauthor " + name + " <a@coin.example> " + said + "\ncommitter A <a@coin.example> " + said + "\n\n" + line + "\nmore\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		made.Reset(made.Git("hash-object", "-t", "commit", "-w", file))
		got := fetch(t, repo).Revision
		if !got.Time.Equal(want) {
			t.Errorf("%s: got %s, want %s", said, got.Time, want)
		}
		if _, err := json.Marshal(got); err != nil {
			t.Errorf("%s: %v", said, err)
		}
		for _, text := range []string{got.Author, got.Subject} {
			if len(text) > 2000 || !strings.HasSuffix(text, "…") || strings.ContainsRune(text, '�') {
				t.Errorf("%s: a text of %d bytes: %.20s", said, len(text), text)
			}
		}
	}
}
