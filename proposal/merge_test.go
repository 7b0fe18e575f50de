package proposal_test

import (
	"slices"
	"strings"
	"testing"

	"coin.internal/coin-agent/proposal"
)

// text writes words as lines.
func text(words string) string {
	return strings.Join(append(strings.Fields(words), ""), "\n")
}

func TestMerge(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ base, ours, theirs, want string }{
		"nothing":                 {"a b c", "a b c", "a b c", "a b c"},
		"ours":                    {"a b c", "a x c", "a b c", "a x c"},
		"theirs":                  {"a b c", "a b c", "a b d", "a b d"},
		"both, apart":             {"a b c d", "x b c d", "a b c y", "x b c y"},
		"both, next to":           {"a b c d", "a x c d", "a b y d", "a x y d"},
		"both the same":           {"a b c", "a x c", "a x c", "a x c"},
		"theirs adds at the end":  {"a b", "x b", "a b c", "x b c"},
		"theirs adds at the head": {"a b", "a x", "n a b", "n a x"},
		"theirs removes":          {"a b c", "x b c", "a b", "x b"},
		"of nothing":              {"", "", "a", "a"},
	} {
		merged, conflicts := proposal.Merge(text(test.base), text(test.ours), text(test.theirs))
		if merged != text(test.want) || len(conflicts) > 0 {
			t.Errorf("%s: got %q, %v, want %q", name, merged, conflicts, test.want)
		}
	}
}

func TestMergeConflicts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		base, ours, theirs string
		line               int
	}{
		"the same line":      {"a b c", "a x c", "a y c", 2},
		"added at the same":  {"a b", "a x b", "a y b", 2},
		"removed, changed":   {"a b c", "a c", "a y c", 2},
		"longer on one side": {"a b c d", "a x y d", "a b z d", 2},
	} {
		merged, conflicts := proposal.Merge(text(test.base), text(test.ours), text(test.theirs))
		if merged != text(test.ours) || len(conflicts) != 1 || conflicts[0].Line != test.line || !strings.Contains(text(test.base), conflicts[0].Base) {
			t.Errorf("%s: got %q, %v", name, merged, conflicts)
		}
	}
}

// Changes of neighbouring lines are found in the result, others are not.
func TestBeside(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		base, ours, theirs string
		want               []int
	}{
		"ours":                   {"a b c", "a x c", "a b c", nil},
		"theirs":                 {"a b c", "a b c", "a b d", nil},
		"apart":                  {"a b c d", "x b c d", "a b c y", nil},
		"theirs behind":          {"a b c d", "a x c d", "a b y d", []int{3}},
		"theirs before":          {"a b c d", "a b y d", "a x c d", []int{2}},
		"theirs removes":         {"a b c d", "a x c d", "a b d", []int{3}},
		"both remove":            {"a b c d", "a c d", "a b d", []int{2}},
		"the same, and one more": {"a b c d e", "a x c d e", "a x c d y", nil},
		"twice":                  {"a b c d e f", "a x c d y f", "a b z d e w", []int{3, 6}},
	} {
		merged, conflicts := proposal.Merge(text(test.base), text(test.ours), text(test.theirs))
		if got := proposal.Beside(merged, text(test.ours), text(test.theirs)); !slices.Equal(got, test.want) || len(conflicts) > 0 {
			t.Errorf("%s: got %v in %q, %v, want %v", name, got, merged, conflicts, test.want)
		}
	}
}

// A text without a line break at its end keeps none.
func TestMergeWithoutALastLineBreak(t *testing.T) {
	t.Parallel()
	if merged, conflicts := proposal.Merge("a\nb", "x\nb", "a\nb"); merged != "x\nb" || len(conflicts) > 0 {
		t.Errorf("got %q, %v", merged, conflicts)
	}
	if merged, conflicts := proposal.Merge("a\nb", "a\nb", "a\nb\nc"); merged != "a\nb\nc" || len(conflicts) > 0 {
		t.Errorf("got %q, %v", merged, conflicts)
	}
}

// A file of bytes, which has no lines, takes the changes of one side only.
func TestMergeOfBytes(t *testing.T) {
	t.Parallel()
	if merged, conflicts := proposal.Merge("a\x00\nb\nc\n", "a\x00\nb\nc\n", "x\x00\nb\nc\n"); merged != "x\x00\nb\nc\n" || len(conflicts) > 0 {
		t.Errorf("got %q, %v", merged, conflicts)
	}
	if merged, conflicts := proposal.Merge("a\x00\nb\nc\n", "a\x00\nb\nd\n", "x\x00\nb\nc\n"); merged != "a\x00\nb\nd\n" || len(conflicts) != 1 {
		t.Errorf("got %q, %v", merged, conflicts)
	}
}

func FuzzMerge(f *testing.F) {
	f.Add("a\nb\nc\n", "a\nx\nc\n", "a\nb\ny\n")
	f.Fuzz(func(t *testing.T, base, ours, theirs string) {
		if len(base)+len(ours)+len(theirs) > 1<<12 {
			return
		}
		if got, conflicts := proposal.Merge(base, ours, base); got != ours || len(conflicts) > 0 {
			t.Errorf("without their changes: %q, %v", got, conflicts)
		}
		if got, conflicts := proposal.Merge(base, base, theirs); got != theirs || len(conflicts) > 0 {
			t.Errorf("without our changes: %q, %v", got, conflicts)
		}
		if got, conflicts := proposal.Merge(base, ours, ours); got != ours || len(conflicts) > 0 {
			t.Errorf("the same changes: %q, %v", got, conflicts)
		}
		proposal.Merge(base, ours, theirs)
	})
}
