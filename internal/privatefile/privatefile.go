// Package privatefile reads files with keys, tokens and passwords. It guarantees that it
// returns no content of a file that other users can access.
package privatefile

import (
	"bytes"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"coin.internal/coin-agent/internal/fault"
)

// maxSize is larger than all real files. It limits the read of a wrong file.
const maxSize = 1 << 20

// Read returns the content of a regular file that only its owner can access. It refuses
// an empty file. Errors are *fault.Error: what names the file in them, and they wrap
// cause, or the error of the file system if cause is nil.
func Read(path, what string, cause error) ([]byte, error) {
	refuse := func(hint, format string, args ...any) error {
		found := fault.New(fault.Place{File: path}, hint, format, args...)
		if cause != nil {
			found.Err = cause
		}
		return found
	}
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe is refused below, not waited for
	if err != nil {
		return nil, refuse("create the file with mode 600, or correct its path in the settings", "read %s: %w", what, errors.Unwrap(err))
	}
	defer file.Close() //nolint:errcheck // only read from
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, refuse("", "read %s: %w", what, err)
	case !info.Mode().IsRegular():
		return nil, refuse("set the path of a regular file in the settings", "%s is not a regular file", what)
	case info.Mode().Perm()&0o077 != 0:
		return nil, refuse("chmod 600 "+path, "other users can access %s (mode %04o)", what, info.Mode().Perm())
	}
	content, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	switch {
	case err != nil:
		return nil, refuse("", "read %s: %w", what, err)
	case len(content) > maxSize:
		return nil, refuse("set the path of another file in the settings", "%s is larger than %d bytes", what, maxSize)
	case len(bytes.TrimSpace(content)) == 0:
		return nil, refuse("write the content into the file", "%s is empty", what)
	}
	return content, nil
}
