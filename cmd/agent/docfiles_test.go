package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentsNameFiles checks that the files and folders which CONTRIBUTING.md and the
// documents name in backticks or link to exist.
func TestDocumentsNameFiles(t *testing.T) {
	root := filepath.Join("..", "..")
	pages, err := filepath.Glob(filepath.Join(root, "docs", "adr", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/dependencies.md", "docs/operations.md"} {
		pages = append(pages, filepath.Join(root, name))
	}
	// A path of the project begins with one of its folders.
	named := regexp.MustCompile("`((?:agent|cmd/agent|compose|deploy|docs|examples|internal|manifests|packaging|provenance|rotate|secrets|sync|checks|harbor)/[A-Za-z0-9_./*-]+)`")
	linked := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	found := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		var paths []string
		for _, match := range named.FindAllStringSubmatch(string(text), -1) {
			paths = append(paths, filepath.Join(root, strings.TrimSuffix(match[1], "/")))
		}
		for _, match := range linked.FindAllStringSubmatch(string(text), -1) {
			paths = append(paths, filepath.Join(filepath.Dir(page), match[1]))
		}
		for _, path := range paths {
			found++
			if there, err := filepath.Glob(path); err != nil || len(there) == 0 {
				t.Errorf("%s names %s, which does not exist", page, path)
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d names were found: the test reads the wrong pages", found)
	}
}
