package audit

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"coin.internal/coin-agent/internal/fault"
)

// FileName is the log's name in the state directory.
const FileName = "audit.log"

// Options configure a log.
type Options struct {
	Environment, Node string
	Version           string       // agent version
	Known             Head         // the head that the state file stores
	Key               []byte       // of the node, which seals the entries; nil: they have no seal
	Log               *slog.Logger // for problems of the file; may be nil
}

func (o *Options) owner() string { return o.Environment + "/" + o.Node }

// Log is an open log. Its methods are safe for concurrent use. The lock of the state
// file makes sure that only one process has the log open.
type Log struct {
	// Around, where set, is called with each Append, which it makes or refuses: a test
	// simulates full disks and kills with it.
	Around func(write func() error) error

	path    string
	options Options

	mu   sync.Mutex
	file *os.File
	size int64 // bytes of the complete entries
	head Head  // with the beginning of the seals
}

// Open opens or creates the log in dir and checks all of it. Problems are not an
// error: Open removes an incomplete last line, and continues after a gap. It
// appends an entry about each.
func Open(dir string, options Options) (*Log, error) {
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.New(fault.Place{}, "set state_dir to a folder that the agent can write", "make state directory: %w", err)
	}
	l := &Log{path: filepath.Join(dir, FileName), options: options}
	if err := l.load(options.Known); err != nil {
		return nil, errors.Join(fault.WithHint(err, "let the agent's user write to "+l.path), l.Close())
	}
	return l, nil
}

// Head returns the last entry.
func (l *Log) Head() Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head
}

// Close closes the file.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

// Append writes the entries and waits until they are on disk. After an error, the
// log has none of them.
func (l *Log) Append(entries ...Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(entries) == 0 {
		return nil
	}
	write := func() error {
		if !l.intact() {
			if err := l.load(l.head); err != nil {
				return fault.WithHint(fmt.Errorf("reopen audit log: %w", err), "let the agent's user write to "+l.path)
			}
		}
		return l.write(entries)
	}
	if l.Around == nil {
		return write()
	}
	return l.Around(write)
}

// intact reports whether the file is unchanged since the last write: not replaced,
// removed, truncated or extended.
func (l *Log) intact() bool {
	if l.file == nil {
		return false
	}
	there, err := os.Lstat(l.path)
	if err != nil || there.Size() != l.size {
		return false
	}
	ours, err := l.file.Stat()
	return err == nil && os.SameFile(there, ours)
}

// load opens and checks the file, and appends entries about what it found.
func (l *Log) load(known Head) error {
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
	_, statErr := os.Lstat(l.path)
	file, err := os.OpenFile(l.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open audit log: %w", err)
	}
	chain := newChain(known, l.options.Key)
	torn, err := scan(file, chain.take)
	if err == nil && chain.owner != "" && chain.owner != l.options.owner() {
		err = fault.New(fault.Place{}, "give each node its own state directory", "the audit log %s belongs to %s, not to %s", l.path, chain.owner, l.options.owner())
	}
	if err == nil {
		l.size, err = trim(file, torn)
	}
	if err == nil && errors.Is(statErr, os.ErrNotExist) {
		err = syncFolder(filepath.Dir(l.path))
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	l.file = file
	report := chain.end(torn)
	if n := len(report.Problems); n > 0 {
		l.options.Log.Error("the audit log was changed", "file", l.path, "problem", report.Problems[0].String(), "problems", n)
	}
	if torn > 0 {
		l.options.Log.Warn("removed an incomplete line from the audit log", "file", l.path, "bytes", torn)
	}
	var entries []Entry
	if l.head, entries = l.resume(chain); len(entries) == 0 {
		return nil
	}
	return l.write(entries)
}

// trim removes torn bytes from the end, and access by other users.
func trim(file *os.File, torn int) (int64, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, fmt.Errorf("stat audit log: %w", err)
	}
	size := info.Size() - int64(torn)
	if torn > 0 {
		if err := file.Truncate(size); err != nil {
			return 0, fmt.Errorf("remove an incomplete line from the audit log: %w", err)
		}
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := file.Chmod(0o600); err != nil {
			return 0, fmt.Errorf("restrict access to audit log: %w", err)
		}
	}
	return size, nil
}

// syncFolder makes the name of a new file durable.
func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open state directory: %w", err)
	}
	if err := errors.Join(folder.Sync(), folder.Close()); err != nil {
		return fmt.Errorf("sync state directory: %w", err)
	}
	return nil
}

// resume returns the head to continue from, and entries about what load found.
// After a gap it continues from the head of the state file, so that every later
// check finds the gap.
func (l *Log) resume(chain *chain) (Head, []Entry) {
	var entries []Entry
	add := func(action Action, format string, args ...any) {
		entries = append(entries, Entry{
			Actor: Agent(), Action: action, Kind: Journal, Name: FileName,
			Outcome: Succeeded, Detail: fmt.Sprintf(format, args...),
		})
	}
	head, known := Head{Seq: chain.next - 1, Hash: chain.report.Head.Hash, Keyed: chain.report.Keyed}, chain.report.Known
	switch {
	case !chain.found:
		gap := chain.report.Problems[len(chain.report.Problems)-1]
		head.Seq, head.Hash = max(head.Seq, known.Seq), known.Hash
		add(Gap, "%s", gap.What)
	case chain.lines == 0:
		add(Opened, "audit log of %s, created by agent %s", l.options.owner(), l.options.Version)
	case !known.Known():
		add(Unanchored, "the state file had no last entry: entries before this one may be missing")
	}
	if chain.report.Torn > 0 {
		add(Recovered, "removed an incomplete line of %d bytes", chain.report.Torn)
	}
	if len(l.options.Key) > 0 && head.Keyed == 0 {
		if head.Keyed = head.Seq + 1; chain.lines > 0 {
			head.Keyed += uint64(len(entries))
			add(Keyed, "entries from this one on have the seal of the node's key")
		}
	}
	return head, entries
}

// write appends entries after the head. If that fails, it removes what it wrote.
func (l *Log) write(entries []Entry) error {
	var lines bytes.Buffer
	head, now := l.head, time.Now()
	for i := range entries {
		entry := entries[i]
		entry.Seq, entry.Time, entry.Prev = head.Seq+1, now, head.Hash
		entry.Environment, entry.Node = l.options.Environment, l.options.Node
		entry.finish(l.options.Key)
		lines.Write(entry.canonical())
		head.Seq, head.Hash = entry.Seq, entry.Hash
	}
	_, err := l.file.Write(lines.Bytes())
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		return fault.WithHint(errors.Join(fmt.Errorf("write audit log: %w", err), l.undo()), "free disk space, or let the agent's user write to "+l.path)
	}
	l.size += int64(lines.Len())
	l.head = head
	return nil
}

// undo removes the bytes of a failed write and closes the file. The next Append
// loads it again.
func (l *Log) undo() error {
	err := l.file.Truncate(l.size)
	err = errors.Join(err, l.file.Close())
	l.file = nil
	if err != nil {
		return fmt.Errorf("remove the incomplete entries: %w", err)
	}
	return nil
}
