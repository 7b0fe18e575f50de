package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// harden protects the daemon's memory and files. Only its user can read files that it
// writes.
func harden() error {
	unix.Umask(0o077)
	return forbidCoreDumps()
}

// forbidCoreDumps disables core dumps, which would contain secrets. It also stops other
// processes of the same user from reading the memory: they cannot attach a debugger,
// and /proc/PID/mem and environ belong to root.
func forbidCoreDumps() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("disable core dumps: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid debuggers and core dumps: %w", err)
	}
	return nil
}
