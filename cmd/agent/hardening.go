package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// harden closes the daemon to others: what it writes, its user alone may read.
func harden() error {
	unix.Umask(0o077)
	return forbidCoreDumps()
}

// forbidCoreDumps keeps secrets in memory out of core files, and out of the
// reach of other processes of the same user: no debugger attaches, and
// /proc/PID/mem and environ are root's.
func forbidCoreDumps() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("disable core dumps: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid debuggers and core dumps: %w", err)
	}
	return nil
}
