package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"coin.internal/coin-agent/internal/fault"
)

// FileName is the log's name in the state directory.
const FileName = "audit.log"

// Options say whose log it is.
type Options struct {
	Environment, Node string
	Version           string       // of the agent
	Known             Head         // the head that the state file remembers
	Log               *slog.Logger // is told what is amiss with the file; nil: nobody is
}

func (o *Options) owner() string { return o.Environment + "/" + o.Node }

// Log is the open log. Its methods may be called from many goroutines; one
// process at a time may have it, which the state file's lock sees to.
type Log struct {
	path    string
	options Options

	mu   sync.Mutex
	file *os.File
	size int64 // of the whole entries
	head Head
}

// Open opens the log in dir, or begins it, and looks at the whole of it. What is
// amiss is no error: an unfinished last line is cut off, and after a gap the log
// goes on; both are said in an entry.
func Open(dir string, options Options) (*Log, error) {
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.New(fault.Place{}, "choose a state directory that the agent may write", "make state directory: %w", err)
	}
	l := &Log{path: filepath.Join(dir, FileName), options: options}
	if err := l.load(options.Known); err != nil {
		return nil, errors.Join(fault.WithHint(err, "see that the agent may write "+l.path), l.Close())
	}
	return l, nil
}

// Head is the last entry.
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

// Append writes entries, one after the other, and waits until they are on disk.
// Either all of them are in the log then, or an error says that none is.
func (l *Log) Append(entries ...Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(entries) == 0 {
		return nil
	}
	if !l.intact() {
		if err := l.load(l.head); err != nil {
			return fault.WithHint(fmt.Errorf("open audit log again: %w", err), "see that the agent may write "+l.path)
		}
	}
	return l.write(l.head, entries)
}

// intact tells whether the file is still the one that was written last: not
// replaced, removed, cut or added to.
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

// load opens the file, reads it to its end and writes what is to be said of that.
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
	chain := newChain(known)
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
	l.complain(chain.end(torn))
	head, entries := l.resume(chain)
	l.head = head
	if len(entries) == 0 {
		return nil
	}
	return l.write(head, entries)
}

// complain tells the journal what is wrong with the log: the first place, and how
// many more there are.
func (l *Log) complain(report Report) {
	if n := len(report.Problems); n > 0 {
		l.options.Log.Error("the audit log is not what was written", "file", l.path, "problem", report.Problems[0].String(), "problems", n)
	}
	if report.Torn > 0 {
		l.options.Log.Warn("cut an unfinished line off the audit log", "file", l.path, "bytes", report.Torn)
	}
}

// trim cuts an unfinished last line off and closes the file to others.
func trim(file *os.File, torn int) (int64, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, fmt.Errorf("look at audit log: %w", err)
	}
	size := info.Size() - int64(torn)
	if torn > 0 {
		if err := file.Truncate(size); err != nil {
			return 0, fmt.Errorf("cut an unfinished line off the audit log: %w", err)
		}
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := file.Chmod(0o600); err != nil {
			return 0, fmt.Errorf("protect audit log: %w", err)
		}
	}
	return size, nil
}

// syncFolder makes a new file's name last.
func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open state directory: %w", err)
	}
	if err := errors.Join(folder.Sync(), folder.Close()); err != nil {
		return fmt.Errorf("save state directory: %w", err)
	}
	return nil
}

// resume gives the entry that the next one follows, and the entries that say what
// was found. After a gap the log goes on from the head that is remembered, so
// that the gap stays visible for good.
func (l *Log) resume(chain *chain) (Head, []Entry) {
	var entries []Entry
	say := func(action Action, format string, args ...any) {
		entries = append(entries, Entry{
			Actor: Agent(), Action: action, Kind: Journal, Name: FileName,
			Outcome: Succeeded, Detail: fmt.Sprintf(format, args...),
		})
	}
	head, known := Head{Seq: chain.next - 1, Hash: chain.report.Head.Hash}, chain.report.Known
	switch {
	case !chain.held:
		missing := chain.report.Problems[len(chain.report.Problems)-1]
		head = Head{Seq: max(head.Seq, known.Seq), Hash: known.Hash}
		say(Gap, "%s", missing.What)
	case chain.lines == 0:
		say(Opened, "audit log of %s, begun by agent %s", l.options.owner(), l.options.Version)
	case !known.Known():
		say(Unanchored, "the state file did not know the log's last entry: whether entries were cut off before this one cannot be told")
	}
	if chain.report.Torn > 0 {
		say(Recovered, "an unfinished line of %d bytes was cut off", chain.report.Torn)
	}
	return head, entries
}

// write adds entries after head. What was written of them is taken back when not
// all of it could be saved.
func (l *Log) write(head Head, entries []Entry) error {
	var lines bytes.Buffer
	now := time.Now()
	for i := range entries {
		entry := entries[i]
		entry.Seq, entry.Time, entry.Prev = head.Seq+1, now, head.Hash
		entry.Environment, entry.Node = l.options.Environment, l.options.Node
		entry.seal()
		lines.Write(entry.canonical())
		head = entry.head()
	}
	n, err := l.file.Write(lines.Bytes())
	if err == nil && n < lines.Len() {
		err = io.ErrShortWrite
	}
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		return fault.WithHint(errors.Join(fmt.Errorf("write audit log: %w", err), l.takeBack()), "see that "+l.path+" can be written, and that the disk is not full")
	}
	l.size += int64(lines.Len())
	l.head = head
	return nil
}

// takeBack cuts off what was written of entries that could not be saved. The file
// is read anew before the next entry.
func (l *Log) takeBack() error {
	err := l.file.Truncate(l.size)
	err = errors.Join(err, l.file.Close())
	l.file = nil
	if err != nil {
		return fmt.Errorf("take back what was written of it: %w", err)
	}
	return nil
}
