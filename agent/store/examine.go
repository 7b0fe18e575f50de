package store

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"coin.internal/coin-agent/internal/fault"
)

// Examine reads the state folder of a node without changing it, and says in a line how it
// is. An error is a folder or file that the agent cannot work with; its hint is the remedy.
func Examine(dir, owner string) (string, error) {
	present := dir // or the nearest folder above it that is there
	info, err := os.Stat(present)
	for errors.Is(err, fs.ErrNotExist) && present != filepath.Dir(present) {
		present = filepath.Dir(present)
		info, err = os.Stat(present)
	}
	if err == nil && !info.IsDir() {
		err = unix.ENOTDIR
	}
	err = cmp.Or(err, unix.Access(present, unix.W_OK))
	if present != dir && errors.Is(err, unix.EACCES) { // the unit's StateDirectory is made by systemd, for a user who cannot
		return dir + " is made by systemd when the unit starts; elsewhere make it for this user", nil
	}
	if err != nil {
		return "", fault.New(fault.Place{}, "set state_dir to a folder that the agent's user can write, and mount its file system for writing", "the agent cannot write %s: %w", present, err)
	}
	if present != dir {
		return "the agent makes " + dir + " when it starts", nil
	}
	if !Exists(dir) {
		return "no state file yet in " + dir, nil
	}
	s, err := OpenReadOnly(dir)
	switch {
	case errors.Is(err, ErrLocked):
		return "in use by the running agent", nil
	case err != nil:
		return "", err
	}
	defer func() { _ = s.Close() }()
	if err := viewBucket(s, metaBucket, func(meta *bbolt.Bucket) error { return checkOwner(meta, owner) }); err != nil {
		return "", err
	}
	var bad []string
	if err := safely(dir, func() (err error) { bad, err = s.Probe(); return err }); err != nil {
		return "", err
	}
	if len(bad) > 0 {
		return "", fault.New(fault.Place{}, "nothing has to be done: the agent skips them; `agent history` shows what is left",
			"%d records of %s are unreadable: %s", len(bad), path(dir), strings.Join(bad, "; "))
	}
	return fmt.Sprintf("%s is whole", path(dir)), nil
}
