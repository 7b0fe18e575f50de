package terminal_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/terminal"
)

func TestWrap(t *testing.T) {
	const red, reset = "\x1b[31m", "\x1b[0m"
	tests := map[string]struct {
		line string
		most int
		want []string
	}{
		"fits":         {"abc def", 7, []string{"abc def"}},
		"label":        {"  cause     one two three four", 26, []string{"  cause     one two three", "            four"}},
		"no label":     {"one two three four", 10, []string{"one two", "  three", "  four"}},
		"long word":    {"  cause     abcdefghijklmno", 26, []string{"  cause     abcdefghijklmn", "            o"}},
		"path":         {"  cause     read: env/sandbox/node.env", 24, []string{"  cause     read:", "            env/sandbox/", "            node.env"}},
		"command":      {"  next  `a b c d` or `e f` then", 20, []string{"  next  `a b c d` or", "    `e f` then"}},
		"kept whole":   {"  next  one `agent retry`, two", 25, []string{"  next  one", "        `agent retry`,", "        two"}},
		"long command": {"  next  one `agent retry -v --all`", 20, []string{"  next  one `agent", "    retry -v --all`"}},
		"one backtick": {"one two ` three four", 10, []string{"one two `", "  three", "  four"}},
		"colour":       {"one " + red + "two three four" + reset + " five", 10, []string{"one " + red + "two" + reset, "  " + red + "three" + reset, "  " + red + "four" + reset, "  five"}},
		"wide":         {"日本語 日本語", 8, []string{"日本語", "  日本語"}},
		"marks":        {"e\u0301e\u0301e\u0301e\u0301", 4, []string{"e\u0301e\u0301e\u0301e\u0301"}},
		"one column":   {"abc", 1, []string{"a", "b", "c"}},
		"far gap":      {strings.Repeat("a", 30) + "  b c d", 32, []string{strings.Repeat("a", 30), "  b c d"}},
		"not utf-8":    {"\xff\xff\xff", 2, []string{"\ufffd\ufffd", " \ufffd"}},
		"unfinished m": {"\x1b[31 ab", 80, []string{"\x1b[31 ab"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := terminal.Wrap(test.line, test.most)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			for _, line := range got {
				if terminal.Width(line) > test.most {
					t.Errorf("%q has more than %d columns", line, test.most)
				}
			}
		})
	}
}

func TestCut(t *testing.T) {
	for _, test := range []struct {
		line       string
		most       int
		end, start string
	}{
		{"abcdef", 6, "abcdef", "abcdef"},
		{"abcdef", 4, "abc…", "…def"},
		{"\x1b[31mabcdef\x1b[0m", 4, "\x1b[31mabc…\x1b[0m", "\x1b[31m…def\x1b[0m"},
		{"日本語", 4, "日…", "…語"},
	} {
		if diff := cmp.Diff([]string{test.end, test.start}, []string{terminal.Cut(test.line, test.most), terminal.CutStart(test.line, test.most)}); diff != "" {
			t.Errorf("%q: %s", test.line, diff)
		}
	}
}

func TestParse(t *testing.T) {
	for _, test := range []struct {
		input string
		keys  []terminal.Key
		left  string
	}{
		{"q", []terminal.Key{terminal.Quit}, ""},
		{"\x03", []terminal.Key{terminal.Quit}, ""},
		{"\x1b[A\x1bOBj", []terminal.Key{terminal.Up, terminal.Down, terminal.Down}, ""},
		{"\x1b[6~ G", []terminal.Key{terminal.PageDown, terminal.PageDown, terminal.Bottom}, ""},
		{"\x1b", nil, "\x1b"},
		{"j\x1b[", []terminal.Key{terminal.Down}, "\x1b["},
		{"\x1b[1;5Aq", []terminal.Key{terminal.Quit}, ""}, // Ctrl-Up is not a key
		{"xyz", nil, ""},
		{"\x1b\x03", []terminal.Key{terminal.Quit}, ""}, // Esc, and a key after it
		{"\x1bq", []terminal.Key{terminal.Quit}, ""},
		{"\x1b\x1b[A", []terminal.Key{terminal.Up}, ""},
		{"\x1b[\x03", []terminal.Key{terminal.Quit}, ""},
		{"\x1b[1;\x04", []terminal.Key{terminal.Quit}, ""},
		{"\x1b[000000000000000000000000q", []terminal.Key{terminal.Quit}, ""},
	} {
		keys, left := terminal.Parse([]byte(test.input))
		if diff := cmp.Diff(test.keys, keys); diff != "" || string(left) != test.left {
			t.Errorf("%q: %s, left %q", test.input, diff, left)
		}
	}
}

func FuzzWrap(f *testing.F) {
	f.Add("  cause     one two \x1b[31mthree\x1b[0m", 20)
	f.Add("日本語 é\u0301", 9)
	f.Fuzz(func(t *testing.T, line string, most int) {
		if strings.Contains(line, "\n") || most < 8 || most > 300 {
			return
		}
		for _, one := range terminal.Wrap(line, most) {
			if terminal.Width(one) > most {
				t.Errorf("%q has more than %d columns", one, most)
			}
		}
		for _, one := range []string{terminal.Cut(line, most), terminal.CutStart(line, most)} {
			if terminal.Width(one) > most {
				t.Errorf("cut: %q has more than %d columns", one, most)
			}
		}
	})
}
