package audit_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/audit"
)

// anchorsOf gives the anchors of entries of a log, as a place has them.
func anchorsOf(t *testing.T, dir string, of ...int) (found []audit.Anchored) {
	t.Helper()
	all, before := entries(t, dir), uint64(0)
	for _, i := range of {
		one := all[i-1]
		found = append(found, audit.Anchored{Seq: one.Seq, Hash: one.Hash, After: before, Note: 100 + int64(one.Seq)})
		before = one.Seq
	}
	return found
}

func compared(t *testing.T, dir string, e audit.Evidence) *audit.Comparison {
	t.Helper()
	e.Place = "issue #17"
	result, err := audit.Compare(dir, e)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// withKey rewrites a log with the node's key from an entry on, as an intruder with the
// agent's rights can, together with the head in the state file.
func withKey(t *testing.T, dir string, from int) audit.Head {
	t.Helper()
	all := entries(t, dir)
	put(t, dir, bytes.Join(lines(content(t, dir))[:from-1], nil))
	head := audit.Head{Keyed: 1}
	if from > 1 {
		head.Seq, head.Hash = all[from-2].Seq, all[from-2].Hash
	}
	log := openSealed(t, dir, head, nodeKey)
	for _, entry := range all[from-1:] {
		entry.Actor = audit.Author("Mallory <m@coin.example>")
		if err := log.Append(entry); err != nil {
			t.Fatal(err)
		}
	}
	return log.Head()
}

// What the check on the node cannot find, the anchors do: an intruder with the agent's
// rights has the key and the state file.
func TestCompareFindsWhatTheNodeCannot(t *testing.T) {
	for name, test := range map[string]struct {
		spoil    func(t *testing.T, dir string) audit.Head
		from, to uint64
		want     string
	}{
		"cut": {func(t *testing.T, dir string) audit.Head {
			t.Helper()
			kept := entries(t, dir)[5]
			put(t, dir, bytes.Join(lines(content(t, dir))[:6], nil))
			return audit.Head{Seq: kept.Seq, Hash: kept.Hash, Keyed: 1}
		}, 6, 8, "the log ends with entry 6, and entry 8 was anchored: the end is missing"},
		"replaced": {func(t *testing.T, dir string) audit.Head {
			t.Helper()
			other, head := sealed(t, 12)
			put(t, dir, content(t, other))
			return head
		}, 1, 2, "entry 2 is not the anchored one"},
		"rewritten with the key": {func(t *testing.T, dir string) audit.Head {
			t.Helper()
			return withKey(t, dir, 4)
		}, 3, 5, "entry 5 is not the anchored one: the log was replaced or rewritten"},
		"rewritten after the last anchor but one": {func(t *testing.T, dir string) audit.Head {
			t.Helper()
			return withKey(t, dir, 7)
		}, 6, 8, "entry 8 is not the anchored one"},
		"removed": {func(t *testing.T, dir string) audit.Head {
			t.Helper()
			if err := os.Remove(filepath.Join(dir, audit.FileName)); err != nil {
				t.Fatal(err)
			}
			return audit.Head{}
		}, 1, 2, "the log ends with entry 0"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := sealed(t, 9)
			found := anchorsOf(t, dir, 2, 5, 8)
			if result := compared(t, dir, audit.Evidence{Found: found}); !result.Proves() || result.Agrees != 8 || result.Left != 1 || len(result.Notes) > 0 {
				t.Fatalf("of the log itself: %+v", result)
			}
			head := test.spoil(t, dir)
			if head.Known() {
				if _, problem := checked(t, dir, head, nodeKey); problem != "" {
					t.Fatalf("the node finds it alone: %s", problem)
				}
			}
			result := compared(t, dir, audit.Evidence{Found: found})
			if d := result.Differs; result.Proves() || d == nil || d.From != test.from || d.To != test.to || d.Note != 100+int64(test.to) || !strings.Contains(d.What, test.want) {
				t.Errorf("got %+v, want %d to %d: %s", result.Differs, test.from, test.to, test.want)
			}
		})
	}
}

// An entry that says its old hash, and something else, is not the anchored one.
func TestCompareReadsWhatEntriesSay(t *testing.T) {
	dir, _ := sealed(t, 4)
	found := anchorsOf(t, dir, 3)
	put(t, dir, bytes.Replace(content(t, dir), []byte("s_db_access.2"), []byte("s_db_access.9"), 1))
	if result := compared(t, dir, audit.Evidence{Found: found}); result.Differs == nil || result.Differs.To != 3 {
		t.Errorf("%+v", result)
	}
}

// GitLab may have fewer anchors than the agent made, or others.
func TestCompareWithOtherAnchors(t *testing.T) {
	dir, _ := sealed(t, 9)
	all := anchorsOf(t, dir, 2, 5, 8)
	changed := anchorsOf(t, dir, 5)
	changed[0].Changed = true
	stray := []audit.Anchored{{Seq: 4, Hash: strings.Repeat("a", 64), Note: 99}}
	for name, test := range map[string]struct {
		e      audit.Evidence
		proves bool
		agrees uint64
		note   string
	}{
		"none":             {audit.Evidence{}, false, 0, ""},
		"only one":         {audit.Evidence{Found: all[:1]}, true, 2, ""},
		"the newest first": {audit.Evidence{Found: []audit.Anchored{all[2], all[0], all[1]}}, true, 8, ""},
		"twice":            {audit.Evidence{Found: slices.Concat(all, all[2:])}, true, 8, ""},
		"one is missing":   {audit.Evidence{Found: []audit.Anchored{all[0], all[2]}}, true, 8, "the anchor of entry 5 is missing in GitLab; the anchor of entry 8 (note 108) came after it"},
		"the last missing": {audit.Evidence{Found: all[:2], Delivered: 8}, true, 5, "the agent anchored entry 8, and GitLab does not have that anchor"},
		"changed":          {audit.Evidence{Found: changed}, true, 5, "note 105 with the anchor of entry 5 was changed"},
		"by others":        {audit.Evidence{Found: all, Others: 2}, true, 8, "2 anchors are not by the token's user"},
		"of another log":   {audit.Evidence{Found: slices.Concat(all, stray)}, false, 8, ""},
	} {
		t.Run(name, func(t *testing.T) {
			result := compared(t, dir, test.e)
			if said := strings.Join(result.Notes, "\n"); result.Proves() != test.proves || result.Agrees != test.agrees || !strings.Contains(said, test.note) || test.note == "" && said != "" {
				t.Errorf("%+v, %+v", result, result.Differs)
			}
		})
	}
	if d := compared(t, dir, audit.Evidence{Found: slices.Concat(all, stray)}).Differs; d.From != 4 || !strings.Contains(d.What, "of another log") {
		t.Errorf("%+v", d)
	}
}
