package compose_test

import (
	"strings"
	"testing"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// TestYAMLIsVisible renders values that would control a terminal: the YAML is printable, and
// means the same.
func TestYAMLIsVisible(t *testing.T) {
	stack := mustRender(t, `
services:
  web:
    image: coin/web:1
    environment: {PLAIN: "a\tb", LINES: "one\ntwo\n"}
    command: ["x\e[2A\u202e\u200b\u2028\U000E0041\x9b", "line\nwith \u202e\tand a tab"]
`)
	text, err := stack.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if at := strings.IndexFunc(string(text), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); at >= 0 {
		t.Errorf("a hidden character in %q", text)
	}
	var read struct {
		Services map[string]struct {
			Command     []string
			Environment map[string]string
		}
	}
	if err := yaml.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	web := read.Services["web"]
	if len(web.Command) != 2 || web.Command[0] != "x\x1b[2A\u202e\u200b\u2028\U000E0041\u009b" || web.Command[1] != "line\nwith \u202e\tand a tab" ||
		web.Environment["LINES"] != "one\ntwo\n" || web.Environment["PLAIN"] != "a\tb" {
		t.Errorf("%q of\n%s", web, text)
	}
}
