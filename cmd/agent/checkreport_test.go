package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// TestHostileReports checks a repository with hostile names and texts. The reports are well
// formed, stable, free of control characters, and have no secret.
func TestHostileReports(t *testing.T) {
	const canary = "canary-hostile-5f0c1be177"
	dir := t.TempDir()
	node := filepath.Join(dir, "environments/sandbox/nodes/node3")
	texts := []string{"\x1b[31m", "\r", "\u202e", "\u0085", "\ufffe", `"'<&>`, "]]>", "\xff", "\n::error::"}
	for _, hostile := range texts {
		for name, content := range map[string]string{
			node + "/secrets/" + hostile: canary, node + "/" + hostile + ".enc": "A: " + canary, node + "/" + hostile + "/x.env": "DB_PASSWORD=" + canary,
		} {
			if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, content := range map[string]string{
		"docker-compose.yml": "services:\n  web:\n    image: app:$TAG\n    \"\\e[31m]]>\\\"<\\uFFFE\": x\n    x\xff: y\n",
		"node.env":           "TAG=1\nA\x1b\xffB=]]>\nSV_left=" + canary + "]]>\xff\n", "project.env": "A B]]>\x1b=" + canary + "\n",
		"../../config.yml": "environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c, stack: s}, {name: \"]]>\\e<\\\"\", context: d, stack: t}]\n\"]]>\\e\": x\n",
	} {
		if err := os.WriteFile(filepath.Join(node, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	report := func(output string) []byte {
		var out bytes.Buffer
		if err := checkFolder(t.Context(), (&app{stdout: &out}), dir, scope{}, output); !errors.Is(err, errDifferent) {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	reports := map[string][]byte{}
	for _, output := range []string{"junit", "codequality"} {
		first := report(output)
		reports[output] = first
		if !bytes.Equal(first, report(output)) {
			t.Errorf("%s: two runs differ", output)
		}
		if !utf8.Valid(first) || bytes.Contains(first, []byte(canary)) ||
			bytes.ContainsFunc(first, func(r rune) bool { return r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) }) {
			t.Errorf("%s: %q", output, first)
		}
	}
	var issues []issue
	if err := json.Unmarshal(reports["codequality"], &issues); err != nil {
		t.Error(err)
	}
	prints := map[string]bool{}
	for _, one := range issues {
		if prints[one.Fingerprint] || one.Location.Path == "" {
			t.Errorf("not unique, or without a file: %+v", one)
		}
		prints[one.Fingerprint] = true
	}
	var suites struct {
		Suites []testSuite `xml:"testsuite"`
	}
	if err := xml.Unmarshal(reports["junit"], &suites); err != nil {
		t.Error(err)
	}
	cases := 0
	for _, suite := range suites.Suites {
		cases += suite.Failures
	}
	// Each text is in three names; three of the texts print as nothing.
	if len(issues) < 3*(len(texts)-2) || cases < 3*len(texts) || !strings.Contains(string(reports["junit"]), "]]&gt;") {
		t.Errorf("%d issues, %d cases:\n%s", len(issues), cases, reports["junit"])
	}
}
