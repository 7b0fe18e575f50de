package secrets_test

import (
	"os"
	"path/filepath"
	"testing"

	"coin.internal/coin-agent/secrets"
)

// TestKeyState says which changes of key files are seen.
func TestKeyState(t *testing.T) {
	dir := t.TempDir()
	age, home := filepath.Join(dir, "age.txt"), filepath.Join(dir, "gnupg")
	keys := filepath.Join(home, "private-keys-v1.d")
	files := secrets.KeyFiles{Age: []string{age}, GnuPGHome: home}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	before := files.State()
	changes := func(what string, change func() error) {
		t.Helper()
		must(change())
		now := files.State()
		if now == before {
			t.Errorf("%s: not seen", what)
		}
		if again := files.State(); again != now {
			t.Errorf("%s: seen twice:\n%s%s", what, now, again)
		}
		before = now
	}
	changes("a new file", func() error { return os.WriteFile(age, []byte("key 1"), 0o600) })
	changes("another content", func() error { return os.WriteFile(age, []byte("key 22"), 0o600) })
	info, err := os.Stat(age)
	must(err)
	changes("another file of the same length and time", func() error {
		other := age + ".new"
		must(os.WriteFile(other, []byte("key 33"), 0o600))
		must(os.Chtimes(other, info.ModTime(), info.ModTime()))
		return os.Rename(other, age)
	})
	changes("other permissions", func() error { return os.Chmod(age, 0o640) })
	changes("a folder of keys", func() error { return os.MkdirAll(keys, 0o700) })
	changes("a key in it", func() error { return os.WriteFile(filepath.Join(keys, "a.key"), nil, 0o600) })
	changes("a removed file", func() error { return os.Remove(age) })
}
