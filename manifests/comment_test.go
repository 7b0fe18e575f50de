package manifests_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/manifests"
)

// TestCommentOut makes the TAG_ assignments of a node.env comments and leaves all else.
func TestCommentOut(t *testing.T) {
	t.Parallel()
	tags := func(name string) bool { return strings.HasPrefix(name, "TAG_") }
	const place = "node.env"
	for name, test := range map[string]struct{ text, want, names, fault string }{
		"none":             {"TAG=1\n#TAG_A=1\n", "TAG=1\n#TAG_A=1\n", "", ""},
		"both forms":       {"TAG=1\nTAG_A=1\n  export TAG_B='2' # fix\nX=$TAG_A\n", "TAG=1\n#TAG_A=1\n#  export TAG_B='2' # fix\nX=$TAG_A\n", "TAG_A TAG_B", ""},
		"no line end":      {"TAG_A=1", "#TAG_A=1", "TAG_A", ""},
		"two lines":        {"TAG_A=\"1\n2\"\nX=1\n", "#TAG_A=\"1\n#2\"\nX=1\n", "TAG_A", ""},
		"one line":         {"TAG=1; TAG_A=1\n", "", "", "node.env:1: a TAG_ variable shares its line"},
		"one line of both": {"TAG_A=1 TAG=1\n", "", "", "node.env:1: a TAG_ variable shares its line"},
		"no shell":         {"TAG_A=(\n", "", "", "node.env: the file is not shell syntax"},
	} {
		got, commented, err := manifests.CommentOut(place, []byte(test.text), tags)
		if test.fault != "" {
			if err == nil || !strings.Contains(err.Error(), test.fault) {
				t.Errorf("%s: got %v, want %s", name, err, test.fault)
			}
			continue
		}
		var names []string
		for _, one := range commented {
			names = append(names, one.Name)
		}
		if diff := cmp.Diff(test.want, string(got)); diff != "" || err != nil || strings.Join(names, " ") != test.names {
			t.Errorf("%s: %s, %v (-want +got):\n%s", name, names, err, diff)
		}
	}
}

// TestSetVariable refuses a value that is more than a word.
func TestSetVariable(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"a b", "$(id)", "a\nB=1", `"`} {
		if _, err := manifests.SetVariable("node.env", nil, "TAG", value); err == nil {
			t.Errorf("%q was accepted", value)
		}
	}
	got, err := manifests.SetVariable("node.env", []byte("export TAG='1' # all\n"), "TAG", "2-b_c.d")
	if err != nil || string(got) != "export TAG='2-b_c.d' # all\n" {
		t.Errorf("got %s, %v", got, err)
	}
}
