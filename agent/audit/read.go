package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"coin.internal/coin-agent/internal/fault"
)

// Verify checks the whole log in dir. known is the head that the state file stores;
// without it, Verify cannot find missing entries at the end. key is the node's; without
// it, the seals are not checked. If the agent is running, use Log.Verify.
func Verify(dir string, known Head, key []byte) (Report, error) {
	chain := newChain(known, key)
	torn, err := readLog(dir, chain.take)
	if errors.Is(err, os.ErrNotExist) && known.Known() {
		err = nil // all entries are missing
	}
	if err != nil {
		return Report{}, err
	}
	return chain.end(torn), nil
}

// Verify checks the whole log.
func (l *Log) Verify() (Report, error) {
	return Verify(filepath.Dir(l.path), l.Head(), l.options.Key)
}

// Read calls take with each entry of the log in order.
func (l *Log) Read(take func(Entry)) error {
	_, err := Read(filepath.Dir(l.path), take)
	return err
}

// Read calls take with each entry of the log in dir in order, and returns the number
// of lines that are not entries. It does not check them; see Verify.
func Read(dir string, take func(Entry)) (foreign int, err error) {
	_, err = readLog(dir, func(line []byte) {
		entry, err := parse(line)
		if errors.Is(err, errForeign) {
			foreign++
			return
		}
		take(entry)
	})
	return foreign, err
}

func readLog(dir string, take func(line []byte)) (torn int, err error) {
	path := filepath.Join(dir, FileName)
	file, err := os.Open(path)
	if err != nil {
		return 0, fault.New(fault.Place{}, "set --state-dir to the agent's state directory; the agent creates the log when it starts", "open audit log: %w", err)
	}
	defer func() { _ = file.Close() }()
	torn, err = scan(file, take)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return torn, nil
}
