package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/internal/fault"
)

// FileName is the name of the state file in its folder.
const FileName = "state.db"

// version is the version of the file's schema. A file of a newer schema is refused.
const version = 3

// ErrLocked says that another process holds the state file: the daemon runs.
var ErrLocked = fault.WithCode(errors.New("the state file is in use by a running agent"), fault.CodeState)

// ErrDamaged says that the state file cannot be read.
var ErrDamaged = fault.WithCode(errors.New("the state file is damaged"), fault.CodeState)

// Open opens the state file in dir, which it makes (0700) when it is missing. It checks
// the file first, and migrates one of an older schema, of which it keeps a copy. owner is
// <environment>/<node>: the state of another node is refused. log gets the names of
// records that are skipped because they are unreadable; nil discards them.
func Open(dir, owner string, log *slog.Logger) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.New(fault.Place{}, "choose a state directory that the agent can write", "make state directory: %w", err)
	}
	if err := protect(dir); err != nil {
		return nil, err
	}
	s := &Store{log: log}
	return s, load(s, dir, false, func(found uint64) error {
		if found != 0 && found < version {
			if err := keepCopy(dir, s.db, found); err != nil {
				return err
			}
		}
		return s.db.Update(func(tx *bbolt.Tx) error { return prepare(s, tx, owner) })
	})
}

// OpenReadOnly opens the state file of an agent that is not running, to read it.
func OpenReadOnly(dir string) (*Store, error) {
	if _, err := os.Stat(path(dir)); err != nil {
		return nil, fault.WithCode(fault.New(fault.Place{}, "start the agent, or name its folder with --state-dir", "open state file: %w", err), fault.CodeDaemon)
	}
	s := &Store{}
	return s, load(s, dir, true, func(found uint64) error {
		if found < version {
			return fault.New(fault.Place{}, "start the agent: it migrates the file", "the state file has the schema of an older agent (version %d)", found)
		}
		return nil
	})
}

// load opens and checks the file, and closes it again if it cannot be used. ready takes
// the version of its schema; without an error, the file can be used.
func load(s *Store, dir string, readOnly bool, ready func(found uint64) error) error {
	return safely(dir, func() (err error) {
		if s.db, err = open(dir, readOnly); err != nil {
			return err
		}
		found, err := check(dir, s.db)
		if err == nil {
			err = ready(found)
		}
		if err != nil {
			return errors.Join(err, s.db.Close())
		}
		return nil
	})
}

// Exists reports whether there is a state file in dir.
func Exists(dir string) bool {
	_, err := os.Stat(path(dir))
	return err == nil
}

// Probe reads every sync and good state, and lists all records that were skipped so far,
// with the reason, sorted.
func (s *Store) Probe() (unreadable []string, err error) {
	_, err = s.History(keepSyncs)
	for _, stack := range s.Stacks() {
		_, goodErr := s.Stack(stack).Good(keepSyncs)
		err = errors.Join(err, goodErr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.unreadable)) {
		unreadable = append(unreadable, name+": "+s.unreadable[name].Error())
	}
	return unreadable, err
}

func path(dir string) string { return filepath.Join(dir, FileName) }

// protect lets only the agent's user enter the folder. A folder with other files may be
// used by others too: the operator decides about it.
func protect(dir string) error {
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read state directory: %w", err)
	}
	for _, entry := range entries {
		if name := entry.Name(); name != audit.FileName && !strings.HasPrefix(name, FileName) {
			return fault.New(fault.Place{}, "give the agent a state directory of its own, or: chmod 700 "+dir,
				"users other than the agent's can enter the state directory %s (mode %04o)", dir, info.Mode().Perm())
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a folder needs the x
		return fault.New(fault.Place{}, "choose a state directory that the agent can write", "protect state directory: %w", err)
	}
	if err := os.Chmod(path(dir), 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("protect state file: %w", err)
	}
	return nil
}

func open(dir string, readOnly bool) (*bbolt.DB, error) {
	db, err := bbolt.Open(path(dir), 0o600, &bbolt.Options{Timeout: 200 * time.Millisecond, ReadOnly: readOnly})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fault.WithHint(ErrLocked, "stop the other agent, or give this one a state directory of its own")
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(fault.Place{}, "let the agent's user write "+dir, "open state file %s: %w", path(dir), err)
	case err != nil:
		return nil, damaged(dir, err)
	}
	return db, nil
}

// damaged says that the agent cannot go on with the file, and what to do.
func damaged(dir string, err error) error {
	file := path(dir)
	return fault.WithHint(fmt.Errorf("%w: %s: %w", ErrDamaged, file, err),
		fmt.Sprintf("mv %s %s.damaged and start the agent again: the stack stays as it is, the history starts anew", file, file))
}

// safely runs a function that reads pages of the file. A damaged page makes bbolt panic,
// or reads beyond the mapping: both become an error.
func safely(dir string, run func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if reason := recover(); reason != nil {
			err = damaged(dir, fmt.Errorf("%v", reason))
		}
	}()
	return run()
}

// check has bbolt check the pages of the file, and gives the version of its schema: 0 for
// a new file. A newer one is refused.
func check(dir string, db *bbolt.DB) (found uint64, err error) {
	err = db.View(func(tx *bbolt.Tx) error {
		var first error
		for err := range tx.Check() {
			if first == nil {
				first = damaged(dir, err)
			}
		}
		if meta := tx.Bucket(metaBucket); first == nil && meta != nil {
			found = numberOf(meta.Get(versionKey))
		}
		return first
	})
	if err == nil && found > version {
		err = fault.New(fault.Place{}, "start the newer agent again, or restore the copy "+FileName+".v"+fmt.Sprint(version)+" that it kept",
			"the state file has the schema of a newer agent (version %d, this agent knows %d)", found, version)
	}
	return found, err
}

// keepCopy copies a file of an older schema before it is migrated.
func keepCopy(dir string, db *bbolt.DB, found uint64) error {
	name := fmt.Sprintf("%s.v%d", path(dir), found)
	err := db.View(func(tx *bbolt.Tx) error {
		file, err := os.OpenFile(name+".part", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = tx.WriteTo(file)
		return errors.Join(err, file.Sync(), file.Close())
	})
	if err == nil {
		err = os.Rename(name+".part", name)
	}
	switch {
	case errors.Is(err, io.EOF):
		return damaged(dir, err) // shorter than its pages say
	case err != nil:
		return fmt.Errorf("keep a copy of the state file: %w", err)
	}
	return nil
}
