package main_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// build returns the path of the program.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "generate")
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build generate: %v\n%s", err, output)
	}
	return program
}

// examples copies the committed repository and its keys.
func examples(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, part := range []string{"coin-gitops", "keys"} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join("..", part))); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// contents maps the files below dir to their contents.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, dir)] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func run(t *testing.T, program, dir string) {
	t.Helper()
	if output, err := exec.CommandContext(t.Context(), program, dir).CombinedOutput(); err != nil {
		t.Fatalf("generate: %v\n%s", err, output)
	}
}

func TestGenerate(t *testing.T) {
	program := build(t)
	t.Run("committed", func(t *testing.T) { testCommitted(t, program) })
	t.Run("from nothing", func(t *testing.T) { testFromNothing(t, program) })
	t.Run("lost age key", func(t *testing.T) { testLostKey(t, program, "sandbox.agekey") })
	t.Run("lost pgp key", func(t *testing.T) { testLostKey(t, program, "production.asc") })
}

// testCommitted checks that the committed example is complete: every secret in its
// compose files has a value, encrypted to its key.
func testCommitted(t *testing.T, program string) {
	t.Helper()
	dir := examples(t)
	before := contents(t, dir)
	run(t, program, dir)
	if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
		t.Errorf("run `go run ./examples/generate` and commit (-before +after):\n%s", diff)
	}
}

func testFromNothing(t *testing.T, program string) {
	t.Helper()
	dir := examples(t)
	committed := contents(t, dir)
	for path := range committed {
		if strings.HasSuffix(path, ".enc") || strings.HasSuffix(path, ".sops.yaml") || strings.HasPrefix(path, "/keys/") {
			if err := os.Remove(dir + path); err != nil {
				t.Fatal(err)
			}
		}
	}
	run(t, program, dir)
	first := contents(t, dir)
	for path := range committed {
		if _, made := first[path]; !made && !strings.HasSuffix(path, "README.md") {
			t.Errorf("%s is missing", path)
		}
	}
	for path, content := range first {
		if strings.HasSuffix(path, ".enc") && strings.Contains(content, "made up") {
			t.Errorf("%s contains a value in plaintext", path)
		}
	}
	for _, private := range []string{"sandbox.agekey", "production.asc"} {
		info, err := os.Stat(filepath.Join(dir, "keys", private))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", private, info.Mode().Perm())
		}
	}
	run(t, program, dir)
	if diff := cmp.Diff(first, contents(t, dir)); diff != "" {
		t.Errorf("the second run changed something (-first +second):\n%s", diff)
	}
}

func testLostKey(t *testing.T, program, lost string) {
	t.Helper()
	dir := examples(t)
	if err := os.Remove(filepath.Join(dir, "keys", lost)); err != nil {
		t.Fatal(err)
	}
	output, err := exec.CommandContext(t.Context(), program, dir).CombinedOutput()
	if err == nil || !strings.Contains(string(output), "restore its key") {
		t.Errorf("generate: %v, %s", err, output)
	}
}
