package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"coin.internal/coin-agent/internal/fault"
)

// Write writes a file that did not exist, as a whole, with a mode. It gives false, and leaves the
// file as it is, if there is one.
func Write(path string, content []byte, mode os.FileMode) (wrote bool, err error) {
	folder := os.FileMode(0o755)
	if mode&0o077 == 0 {
		folder = 0o700
	}
	if err := os.MkdirAll(filepath.Dir(path), folder); err != nil {
		return false, fault.WithHint(fmt.Errorf("make the folder of %s: %w", path, err), "run the command as root")
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".init-*") // mode 0600
	if err != nil {
		return false, fault.WithHint(fmt.Errorf("write %s: %w", path, err), "run the command as root")
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close())
	if err != nil {
		return false, fmt.Errorf("write %s: %w", path, err)
	}
	switch err := os.Link(temporary.Name(), path); {
	case errors.Is(err, fs.ErrExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("write %s: %w", path, err)
	}
	return true, nil
}

// Replace writes a file as a whole, and keeps the one before it as PATH.old.
func Replace(path string, content []byte, mode os.FileMode) error {
	if err := os.Rename(path, path+".old"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keep %s: %w", path, err)
	}
	wrote, err := Write(path, content, mode)
	if err == nil && !wrote {
		err = fmt.Errorf("write %s: another process wrote it meanwhile", path)
	}
	return err
}

// exists reports whether there is a file.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
