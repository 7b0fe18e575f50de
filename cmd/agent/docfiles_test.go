package main

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// documents gives the text of every document by its path in the repository.
func documents(t *testing.T) map[string]string {
	t.Helper()
	root := os.DirFS(filepath.Join("..", ".."))
	texts := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "packaging/*/*.md", "examples/*/*.md"} {
		names, err := fs.Glob(root, pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := fs.ReadFile(root, name)
			if err != nil {
				t.Fatal(err)
			}
			texts[name] = string(text)
		}
	}
	if len(texts) < 50 {
		t.Fatalf("only %d documents were found", len(texts))
	}
	return texts
}

// anchors gives the anchors of a document's headings, as GitLab makes them.
func anchors(text string) []string {
	link, mark, dashes := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`), regexp.MustCompile(`[^\p{L}\p{N}_ -]`), regexp.MustCompile(`-+`)
	var all []string
	seen := map[string]int{}
	for _, heading := range regexp.MustCompile(`(?m)^#{1,6} +(.*)$`).FindAllStringSubmatch(text, -1) {
		name := mark.ReplaceAllString(strings.ToLower(link.ReplaceAllString(heading[1], "$1")), "")
		name = dashes.ReplaceAllString(strings.ReplaceAll(strings.TrimSpace(name), " ", "-"), "-")
		if seen[name]++; seen[name] > 1 {
			name += "-" + strconv.Itoa(seen[name]-1)
		}
		all = append(all, name)
	}
	return all
}

// TestDocumentLinks checks that the file and the heading of every link in the documents are there.
func TestDocumentLinks(t *testing.T) {
	texts := documents(t)
	linked := regexp.MustCompile(`\]\(([^)#:\s]*)(?:#([^)\s]*))?\)`)
	found := 0
	for page, text := range texts {
		for _, match := range linked.FindAllStringSubmatch(text, -1) {
			target := page
			if match[1] != "" {
				target = path.Join(path.Dir(page), match[1])
			}
			found++
			if _, err := os.Stat(filepath.Join("..", "..", target)); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, target)
			} else if match[2] != "" && !slices.Contains(anchors(texts[target]), match[2]) {
				t.Errorf("%s links to %s#%s, and %s has no such heading", page, match[1], match[2], target)
			}
		}
	}
	if found < 300 {
		t.Errorf("only %d links were found", found)
	}
}

// TestDocumentsNameFiles checks that the files and folders which some documents name in backticks exist:
// those about the code, not those about the repository of a stack.
func TestDocumentsNameFiles(t *testing.T) {
	// A path of the project begins with one of its folders.
	named := regexp.MustCompile("`((?:agent|cmd/agent|compose|deploy|docs|examples|internal|manifests|packaging|provenance|rotate|secrets|sync|checks|harbor)/[A-Za-z0-9_./*-]+)`")
	aboutCode, found := []string{"docs/architecture.md", "docs/rooms.md", "docs/test-tools.md", "docs/dependencies.md"}, 0
	for page, text := range documents(t) {
		if strings.HasPrefix(page, "docs/") && !strings.HasPrefix(page, "docs/adr/") && !slices.Contains(aboutCode, page) {
			continue
		}
		for _, match := range named.FindAllStringSubmatch(text, -1) {
			found++
			if there, err := filepath.Glob(filepath.Join("..", "..", match[1])); err != nil || len(there) == 0 {
				t.Errorf("%s names %s, which does not exist", page, match[1])
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d names were found: the test reads the wrong documents", found)
	}
}

// TestDocumentsInstallWhatTheUnitRuns checks that every document which installs the agent by hand puts it
// where the unit looks for it.
func TestDocumentsInstallWhatTheUnitRuns(t *testing.T) {
	unit, err := os.ReadFile("../../packaging/coin-agent.service")
	if err != nil {
		t.Fatal(err)
	}
	runs := regexp.MustCompile(`(?m)^ExecStart=(\S+) run$`).FindSubmatch(unit)
	if runs == nil {
		t.Fatal("the unit does not say what it runs")
	}
	installs, found := regexp.MustCompile(`(?m)^ +install .*bin/agent (\S+)$`), 0
	for page, text := range documents(t) {
		for _, match := range installs.FindAllStringSubmatch(text, -1) {
			if found++; match[1] != string(runs[1]) {
				t.Errorf("%s installs %s, but the unit runs %s", page, match[1], runs[1])
			}
		}
	}
	if found < 2 {
		t.Errorf("only %d documents install the agent", found)
	}
}

// TestCodeNamesDocuments checks that the documents which code, scripts and settings name are there, with
// their headings.
func TestCodeNamesDocuments(t *testing.T) {
	texts := documents(t)
	named := regexp.MustCompile(`\bdocs/[\w./-]+\.md(?:#[\w-]+)?`)
	found := 0
	err := fs.WalkDir(os.DirFS("../.."), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && strings.HasPrefix(name, ".") && name != "." {
			return fs.SkipDir
		}
		if entry.IsDir() || strings.HasSuffix(name, "_test.go") || !slices.Contains([]string{"", ".go", ".yml", ".yaml", ".service"}, path.Ext(name)) {
			return nil
		}
		content, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil || bytes.IndexByte(content, 0) >= 0 {
			return err
		}
		for _, mention := range named.FindAllString(string(content), -1) {
			found++
			file, anchor, _ := strings.Cut(mention, "#")
			if text, there := texts[file]; !there || anchor != "" && !slices.Contains(anchors(text), anchor) {
				t.Errorf("%s names %s, which is not there", name, mention)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 5 {
		t.Errorf("only %d mentions were found", found)
	}
}

// TestDocumentsAreShort demands fewer than 2,000 words of each document, so that a reader finds the answer.
func TestDocumentsAreShort(t *testing.T) {
	for name, text := range documents(t) {
		if words := len(strings.Fields(text)); words >= 2000 {
			t.Errorf("%s has %d words: split it by the questions of its readers", name, words)
		}
	}
}

// TestDocumentsNameTheirReaders demands of each document that its first screen says for whom it is.
func TestDocumentsNameTheirReaders(t *testing.T) {
	names := regexp.MustCompile(`(?m)(?:^|[.;] |\*)(?:For|Для) \S`)
	for page, text := range documents(t) {
		if strings.HasPrefix(page, "docs/adr/") { // a decision is for who asks why: docs/README.md says so
			continue
		}
		lines := strings.SplitN(text, "\n", 25)
		if !names.MatchString(strings.Join(lines[:min(len(lines), 24)], "\n")) {
			t.Errorf("%s does not say for whom it is in its first 24 lines", page)
		}
	}
}
