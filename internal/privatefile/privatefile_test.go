package privatefile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/privatefile"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	content, err := privatefile.Read(write("right", "token\n", 0o600), "the token file", nil)
	if err != nil || string(content) != "token\n" {
		t.Errorf("got %q, %v", content, err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	kind := errors.New("kind")
	for _, test := range []struct{ path, message, hint string }{
		{filepath.Join(dir, "absent"), "read the token file: no such file", "create the file"},
		{dir, "the token file is not a regular file", "regular file"},
		{pipe, "the token file is not a regular file", "regular file"}, // without a wait for a writer
		{write("shared", "token", 0o640), "other users can access the token file (mode 0640)", "chmod 600 " + filepath.Join(dir, "shared")},
		{write("empty", " \n", 0o600), "the token file is empty", "write"},
		{write("large", strings.Repeat("x", 1<<20+1), 0o600), "larger than 1048576 bytes", "another file"},
	} {
		_, err := privatefile.Read(test.path, "the token file", kind)
		if err == nil || !strings.HasPrefix(err.Error(), test.path+": ") || !strings.Contains(err.Error(), test.message) ||
			!strings.Contains(fault.Hint(err), test.hint) || !errors.Is(err, kind) {
			t.Errorf("%s: got %v, hint %q", test.path, err, fault.Hint(err))
		}
	}
	if _, err := privatefile.Read(filepath.Join(dir, "absent"), "the token file", nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want the error of the file system", err)
	}
}
