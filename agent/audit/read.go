package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"coin.internal/coin-agent/internal/fault"
)

// Verify reads the whole log in dir and tells what in it is not what was written.
// known is the head that the state file remembers; without one a cut at the end
// is not seen. The agent may run meanwhile, if known was asked for before.
func Verify(dir string, known Head) (Report, error) {
	chain := newChain(known)
	torn, err := readLog(dir, chain.take)
	if errors.Is(err, os.ErrNotExist) && known.Known() {
		err = nil // all of it is missing
	}
	if err != nil {
		return Report{}, err
	}
	return chain.end(torn), nil
}

// Read gives the entries that the log has by now, in their order.
func (l *Log) Read(take func(Entry)) error {
	_, err := Read(filepath.Dir(l.path), take)
	return err
}

// Read gives the entries of the log in dir, in their order, and tells how many
// lines are none. It checks nothing: that is what Verify is for.
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
		return 0, fault.New(fault.Place{}, "name the agent's folder with --state-dir; the agent begins the log when it starts", "open audit log: %w", err)
	}
	defer func() { _ = file.Close() }()
	torn, err = scan(file, take)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return torn, nil
}
