package audit_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/internal/fault"
)

// options returns the options of the test node.
func options(known audit.Head) audit.Options {
	return audit.Options{Environment: "sandbox", Node: "node3", Version: "test", Known: known}
}

func open(t *testing.T, dir string, known audit.Head) *audit.Log {
	t.Helper()
	log, err := audit.Open(dir, options(known))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return log
}

// numbered returns an entry about version n of a secret.
func numbered(n int) audit.Entry {
	return audit.Entry{
		Actor: audit.Author("Ada Engineer <ada@coin.example>"), Action: audit.Create, Kind: audit.Secret, Name: fmt.Sprintf("s_db_access.%d", n),
		Sync: 7, Revision: strings.Repeat("a", 40), Plan: strings.Repeat("b", 64), Outcome: audit.Failed,
		Error: "no <room> & more", Detail: "used by web,\nworker\u2028 “ü”",
	}
}

// written creates a log of n entries, including the first, in a new folder.
func written(t *testing.T, n int) (dir string, head audit.Head) {
	t.Helper()
	dir = t.TempDir()
	log := open(t, dir, audit.Head{})
	for i := 1; i < n; i++ {
		if err := log.Append(numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	head = log.Head()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, head
}

func content(t *testing.T, dir string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, audit.FileName))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func put(t *testing.T, dir string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, audit.FileName), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func verify(t *testing.T, dir string, known audit.Head) audit.Report {
	t.Helper()
	report, err := audit.Verify(dir, known, nil)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// sound checks that a log has the number of entries and no problem.
func sound(t *testing.T, dir string, known audit.Head, entries int) {
	t.Helper()
	if report := verify(t, dir, known); report.Entries != entries || len(report.Problems) > 0 || report.Torn > 0 {
		t.Errorf("%+v, want %d entries and no problem", report, entries)
	}
}

func entries(t *testing.T, dir string) (all []audit.Entry) {
	t.Helper()
	foreign, err := audit.Read(dir, func(entry audit.Entry) { all = append(all, entry) })
	if err != nil || foreign > 0 {
		t.Fatalf("%d lines are not entries, %v", foreign, err)
	}
	return all
}

func TestWrittenAndRead(t *testing.T) {
	dir, head := written(t, 3)
	all := entries(t, dir)
	first, last := all[0], all[2]
	if first.Action != audit.Opened || first.Environment != "sandbox" || first.Node != "node3" || !strings.Contains(first.Detail, "agent test") || first.Prev != "" {
		t.Errorf("first: %+v", first)
	}
	want := numbered(2)
	want.Seq, want.Time, want.Environment, want.Node, want.Prev, want.Hash = 3, last.Time, "sandbox", "node3", all[1].Hash, head.Hash
	if diff := cmp.Diff(want, last); diff != "" || head.Seq != 3 {
		t.Error(head, diff)
	}
	if info, err := os.Stat(filepath.Join(dir, audit.FileName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	report := verify(t, dir, head)
	if report.Head != head || !report.First.Equal(first.Time) || !report.Last.Equal(last.Time) || len(report.Notes) > 0 {
		t.Errorf("report: %+v", report)
	}
	log := open(t, dir, head)
	if err := log.Append(numbered(3), numbered(4)); err != nil {
		t.Fatal(err)
	}
	sound(t, dir, log.Head(), 5)
	sound(t, dir, head, 5) // the state file is behind the log
}

// An entry with any text is one valid line of limited length.
func TestHostileTexts(t *testing.T) {
	dir, head := written(t, 1)
	log := open(t, dir, head)
	for _, text := range []string{"a\nb\r\n", "\x00\x01\x7f", "\xff\xfe broken", "\u2028\u2029", `"\"}{`, strings.Repeat("\x01ü", 70_000), "�"} {
		err := log.Append(audit.Entry{
			Actor: audit.Actor{By: audit.ByUser, Name: text, UID: text, Login: text}, Action: audit.Action(text), Kind: audit.Kind(text),
			Name: text, Revision: text, Plan: text, Outcome: audit.Outcome(text), Error: text, Detail: text,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	sound(t, dir, log.Head(), 8)
	if size := len(content(t, dir)); size > 8*32<<10 {
		t.Errorf("%d bytes", size)
	}
}

func TestAnotherNodesLog(t *testing.T) {
	dir, head := written(t, 2)
	_, err := audit.Open(dir, audit.Options{Environment: "sandbox", Node: "node4", Known: head})
	if err == nil || !strings.Contains(err.Error(), "belongs to sandbox/node3, not to sandbox/node4") || fault.Hint(err) == "" {
		t.Errorf("got %v", err)
	}
	sound(t, dir, head, 2)
}

// Open removes the access of other users.
func TestOpenRestrictsAccess(t *testing.T) {
	dir, head := written(t, 2)
	path := filepath.Join(dir, audit.FileName)
	if err := os.Chmod(path, 0o644); err != nil { //nolint:gosec // the test needs it
		t.Fatal(err)
	}
	open(t, dir, head)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestConcurrentAppend(t *testing.T) {
	dir, head := written(t, 1)
	log := open(t, dir, head)
	const writers, each = 6, 8
	var group sync.WaitGroup
	for writer := range writers {
		group.Go(func() {
			for i := range each {
				if err := log.Append(numbered(writer), numbered(100*writer+i)); err != nil {
					t.Error(err)
				}
				if report, err := audit.Verify(dir, head, nil); err != nil || len(report.Problems) > 0 {
					t.Errorf("verified during appends: %+v, %v", report, err)
				}
			}
		})
	}
	group.Wait()
	sound(t, dir, log.Head(), 1+2*writers*each)
	all := entries(t, dir)
	for i := 1; i < len(all); i += 2 {
		var writer int
		if _, err := fmt.Sscanf(all[i].Name, "s_db_access.%d", &writer); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("s_db_access.%d", 100*writer); !strings.HasPrefix(all[i+1].Name, want[:len(want)-2]) {
			t.Errorf("the entries of one call are not adjacent: %s, %s", all[i].Name, all[i+1].Name)
		}
	}
}

func TestNoLog(t *testing.T) {
	if _, err := audit.Verify(t.TempDir(), audit.Head{}, nil); err == nil || fault.Hint(err) == "" {
		t.Errorf("got %v", err)
	}
	report := verify(t, t.TempDir(), audit.Head{Seq: 9, Hash: "x"})
	if len(report.Problems) != 1 || !strings.Contains(report.Problems[0].What, "entries 1 to 9 are missing, but the state file has entry 9") {
		t.Errorf("got %+v", report)
	}
}
