package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPackageHasEveryManPage holds the list of what packages contain, with which scripts/dist
// compares them, to the commands.
func TestPackageHasEveryManPage(t *testing.T) {
	listed, err := os.ReadFile("../../packaging/contents")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := manPages()
	if err != nil {
		t.Fatal(err)
	}
	for name := range pages {
		if !strings.Contains(string(listed), " ./usr/share/man/man1/"+name+".gz\n") {
			t.Errorf("packaging/contents does not have %s", name)
		}
	}
	if got := strings.Count(string(listed), "/man1/agent"); got != len(pages) {
		t.Errorf("packaging/contents has %d man pages, want %d", got, len(pages))
	}
}

// TestMaintainerScripts has the shell read the scripts of packages and releases.
func TestMaintainerScripts(t *testing.T) {
	var scripts []string
	for _, pattern := range []string{"packaging/deb/*", "packaging/rpm/*", "scripts/*"} {
		found, err := filepath.Glob("../../" + pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %d scripts, %v", pattern, len(found), err)
		}
		scripts = append(scripts, found...)
	}
	for _, script := range scripts {
		if out, err := exec.Command("sh", "-n", script).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", script, err, out)
		}
	}
}
