package audit_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/audit"
)

var nodeKey, otherKey = bytes.Repeat([]byte("k"), 32), bytes.Repeat([]byte("o"), 32)

// openSealed opens a log whose entries are sealed with a key.
func openSealed(t *testing.T, dir string, known audit.Head, key []byte) *audit.Log {
	t.Helper()
	with := options(known)
	with.Key = key
	log, err := audit.Open(dir, with)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return log
}

// sealed creates a log of n sealed entries, including the first, in a new folder.
func sealed(t *testing.T, n int) (dir string, head audit.Head) {
	t.Helper()
	dir = t.TempDir()
	log := openSealed(t, dir, audit.Head{}, nodeKey)
	for i := 1; i < n; i++ {
		if err := log.Append(numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	return dir, log.Head()
}

// checked verifies with a key, and gives the first problem; "" for none.
func checked(t *testing.T, dir string, known audit.Head, key []byte) (audit.Report, string) {
	t.Helper()
	report, err := audit.Verify(dir, known, key)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Problems) == 0 {
		return report, ""
	}
	return report, report.Problems[0].String()
}

func TestSealed(t *testing.T) {
	dir, head := sealed(t, 4)
	if report, problem := checked(t, dir, head, nodeKey); problem != "" || report.Keyed != 1 || head.Keyed != 1 || len(report.Notes) > 0 {
		t.Errorf("%s: %+v", problem, report)
	}
	if _, problem := checked(t, dir, head, otherKey); !strings.Contains(problem, "line 1, entry 1: the entry was not sealed with the node's key") {
		t.Errorf("with another key: %q", problem)
	}
	// A copy without the state file: hashes and order are checked, and a note says so.
	report, problem := checked(t, dir, audit.Head{}, nil)
	if problem != "" || len(report.Notes) != 1 || !strings.Contains(report.Notes[0], "from entry 1 on are not checked") {
		t.Errorf("without the key: %s: %+v", problem, report)
	}
	// The seal is HMAC-SHA256 of the line without hash and seal.
	line := lines(content(t, dir))[2]
	bare, _, _ := bytes.Cut(line, []byte(`,"hash"`))
	mac := hmac.New(sha256.New, nodeKey)
	mac.Write(append(bytes.Clone(bare), "}\n"...))
	if want := hex.EncodeToString(mac.Sum(nil)); parsed(t, line)[0].Seal != want {
		t.Errorf("%s, want the seal %s", line, want)
	}
}

// A log of an older agent goes on: it says from which entry on it is sealed.
func TestOlderLogIsSealedFromNowOn(t *testing.T) {
	dir, head := written(t, 3)
	for range 2 { // again: it says so once
		log := openSealed(t, dir, head, nodeKey)
		if err := log.Append(numbered(9)); err != nil {
			t.Fatal(err)
		}
		head = log.Head()
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	report, problem := checked(t, dir, head, nodeKey)
	if problem != "" || report.Keyed != 4 || report.Entries != 6 || head.Keyed != 4 {
		t.Errorf("%s: %+v", problem, report)
	}
	if all := entries(t, dir); all[3].Action != audit.Keyed || all[2].Seal != "" || all[4].Seal == "" || len(report.Notes) != 1 || !strings.Contains(report.Notes[0], "entry 4, ") {
		t.Errorf("%q, %+v", report.Notes, all)
	}
	// The state file may have missed the head of the last start.
	if report, problem := checked(t, dir, audit.Head{Seq: 3, Hash: entries(t, dir)[2].Hash}, nodeKey); problem != "" || report.Keyed != 4 {
		t.Errorf("%s: %+v", problem, report)
	}
}

// rechained rewrites a log from an entry on, with matching hashes.
func rechained(t *testing.T, data []byte, from int, change func(*audit.Entry)) (written []byte, head audit.Head) {
	t.Helper()
	for i, entry := range parsed(t, data) {
		if i >= from {
			change(&entry)
			entry.Prev = head.Hash
		}
		line := forged(t, entry)
		head.Seq, head.Hash = entry.Seq, parsed(t, line)[0].Hash
		written = append(written, line...)
	}
	return written, head
}

// A log that was rewritten without the key, with its head in the state file, differs from the
// first changed entry on.
func TestRewrittenWithoutTheKey(t *testing.T) {
	blame := func(e *audit.Entry) { e.Actor.Name = "git:Mallory" }
	bare := func(e *audit.Entry) { e.Actor.Name, e.Seal = "git:Mallory", "" }
	for name, test := range map[string]struct {
		from   int
		change func(*audit.Entry)
		want   string
	}{
		"seals kept":            {2, blame, "line 3, entry 3: the entry was not sealed with the node's key"},
		"seals left out":        {2, bare, "line 3, entry 3: the entry has no seal of the node's key"},
		"as of an older agent":  {0, bare, "line 1, entry 1: the entry has no seal of the node's key"},
		"seals of another node": {3, func(e *audit.Entry) { e.Seal = strings.Repeat("a", 64) }, "line 4, entry 4: the entry was not sealed"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, head := sealed(t, 5)
			data, forgedHead := rechained(t, content(t, dir), test.from, test.change)
			put(t, dir, data)
			forgedHead.Keyed = head.Keyed
			if _, problem := checked(t, dir, forgedHead, nil); problem != "" {
				t.Fatalf("the test does not forge hashes: %s", problem)
			}
			if _, problem := checked(t, dir, forgedHead, nodeKey); !strings.HasPrefix(problem, test.want) {
				t.Errorf("got %q, want %q", problem, test.want)
			}
		})
	}
}

// With a new state file there is a new key. The log goes on, and says so.
func TestKeyLost(t *testing.T) {
	dir, _ := sealed(t, 3)
	log := openSealed(t, dir, audit.Head{}, otherKey)
	if err := log.Append(numbered(7)); err != nil {
		t.Fatal(err)
	}
	report, problem := checked(t, dir, log.Head(), otherKey)
	if problem != "" || report.Keyed != 5 {
		t.Errorf("%s: %+v", problem, report)
	}
	if said := strings.Join(report.Notes, "\n"); !strings.Contains(said, "entry 4, ") || !strings.Contains(said, "the seals from entry 1 on are of an earlier key") {
		t.Error(said)
	}
}
