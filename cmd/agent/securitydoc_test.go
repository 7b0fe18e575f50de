package main

import (
	"bytes"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestSecurityDocument demands that each test that the tables of threats name is there: a defence
// without its test is a promise.
func TestSecurityDocument(t *testing.T) {
	var text []byte
	for _, page := range []string{"threats.md", "threats-access.md", "threats-output.md"} {
		content, err := os.ReadFile("../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, content...)
	}
	named := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllSubmatch(text, -1)
	if len(named) < 150 {
		t.Fatalf("the documents name %d tests", len(named))
	}
	var tests bytes.Buffer
	err := fs.WalkDir(os.DirFS("../.."), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != "." {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		content, err := os.ReadFile("../../" + path)
		tests.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range named {
		if !bytes.Contains(tests.Bytes(), append(append([]byte("\nfunc "), name[1]...), '(')) {
			t.Errorf("the threats name %s, which is not a test", name[1])
		}
	}
}
