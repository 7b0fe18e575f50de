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
	temporary, err := prepare(path, content, mode)
	if err != nil {
		return false, err
	}
	defer func() { _ = os.Remove(temporary) }()
	switch err := os.Link(temporary, path); {
	case errors.Is(err, fs.ErrExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("write %s: %w", path, err)
	}
	return true, nil
}

// Replace writes a file as a whole, and gives the name under which the one before it is kept; ""
// if there was none. At any moment there is the one file or the other.
func Replace(path string, content []byte, mode os.FileMode) (old string, err error) {
	temporary, err := prepare(path, content, mode)
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(temporary) }()
	if old, err = keep(path); err != nil {
		return "", fmt.Errorf("keep %s: %w", path, err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return old, fmt.Errorf("write %s: %w", path, err)
	}
	return old, nil
}

// overwrite writes a file as a whole, in place of the one before it.
func overwrite(path string, content []byte, mode os.FileMode) error {
	temporary, err := prepare(path, content, mode)
	if err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		_ = os.Remove(temporary)
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// prepare writes a file beside the one that it is to become.
func prepare(path string, content []byte, mode os.FileMode) (temporary string, err error) {
	folder := os.FileMode(0o755)
	if mode&0o077 == 0 {
		folder = 0o700
	}
	if err := os.MkdirAll(filepath.Dir(path), folder); err != nil {
		return "", unwritable("make the folder of", path, err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".init-*") // mode 0600
	if err != nil {
		return "", unwritable("write", path, err)
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close()); err != nil {
		_ = os.Remove(file.Name())
		return "", fmt.Errorf("write %s: %w", path, err)
	}
	return file.Name(), nil
}

// unwritable says why a file or its folder cannot be made, and what helps.
func unwritable(verb, path string, err error) error {
	hint := "name a path below a folder that can be written and whose disk has room"
	if errors.Is(err, fs.ErrPermission) {
		hint = "run the command as root"
	}
	return fault.WithHint(fmt.Errorf("%s %s: %w", verb, path, err), hint)
}

// keep gives a file a second name that was free: PATH.old, PATH.old.2 and so on.
func keep(path string) (old string, err error) {
	old = path + ".old"
	for next := 2; ; next++ {
		err := os.Link(path, old)
		switch {
		case err == nil:
			return old, nil
		case errors.Is(err, fs.ErrNotExist):
			return "", nil
		case !errors.Is(err, fs.ErrExist):
			return "", err
		}
		old = fmt.Sprintf("%s.old.%d", path, next)
	}
}

// exists reports whether there is a file.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
