package report_test

import (
	"testing"

	"coin.internal/coin-agent/agent/report"
)

// TestMarkdown writes what an author of a commit, an engine or a database may send, and
// checks that Markdown makes nothing of it.
func TestMarkdown(t *testing.T) {
	for _, test := range []struct{ name, text, want, cell string }{
		{"plain", "release 1.2, `agent resume`", "release 1.2, `agent resume`", ""},
		{"tag", "<img src=x onerror=alert(1)>", `\<img src=x onerror=alert(1)>`, ""},
		{"entity", "&lt;b&gt;", `\&lt;b\&gt;`, ""},
		{"link", "[click](/evil)", `\[click](/evil)`, ""},
		{"image", "![x](/evil)", `!\[x](/evil)`, ""},
		{"address", "see https://evil.example", "`see https://evil.example`", ""},
		{"www", "see WWW.evil.example", "`see WWW.evil.example`", ""},
		{"mail", "mailto:a", "`mailto:a`", ""},
		{"mention", "by @all", "`by @all`", ""},
		{"mention after code", "`x` @all", "`` `x` @all ``", ""},
		{"mention in quotes", "``` @all ```", "```` ``` @all ``` ````", ""},
		{"cell border", "a | b", `a \| b`, ""},
		{"escaped border", `a \| b`, `a \\\| b`, ""},
		{"border and mention", "a | @all", "`a | @all`", "`a \\x7c @all`"},
		{"reference", "fixes #12, !13, ~bug, %14, $15, #x", `fixes \#12, \!13, \~bug, \%14, \$15, \#x`, ""},
		{"emphasis", "**bold** ~~gone~~", `\*\*bold\*\* \~\~gone\~\~`, ""},
		{"heading", "# Approved", `\# Approved`, ""},
		{"rule", "---", `\---`, ""},
		{"quote", "> said", `\> said`, ""},
		{"list", "1. first", `1\. first`, ""},
		{"lines", "a\n\n# b\n| c |", `a # b \| c \|`, ""},
		{"escapes", "a\x1b[2Ab\u202ec\u200b\xff", `a\\x1b\[2Ab\\u202ec\\u200b\\xff`, ""},
	} {
		if got := report.Plain(test.text); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
		if test.cell == "" {
			test.cell = test.want
		}
		if got := report.Cell(test.text); got != test.cell {
			t.Errorf("%s in a table: got %q, want %q", test.name, got, test.cell)
		}
	}
}

// A reader who does not have Markdown rendered sees no escapes.
func TestUnescaped(t *testing.T) {
	if got := report.Unescaped(`sync \#5 put \<b>\|x\~ back\`); got != `sync #5 put <b>|x~ back\` {
		t.Errorf("%q", got)
	}
}

func TestMarkdownCode(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"```", "````\n```\n````\n"},
		{"\tat com.coin\x1b[2A @all ", "```\n    at com.coin\\x1b[2A @all\n```\n"},
		{"a\nb", "```\na\n    b\n```\n"},
	} {
		if got := report.Code(test.line); got != test.want {
			t.Errorf("%q: got %q, want %q", test.line, got, test.want)
		}
	}
}
