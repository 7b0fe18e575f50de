package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// clock gives the processor time that a process, and its children that have ended, have used
// since it started. The kernel's clock of a process counts nanoseconds, unlike /proc/PID/stat.
func clock(pid int) (time.Duration, error) {
	const sched = 2 // user and system time of all threads
	var own unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|sched), &own); err != nil {
		return 0, fmt.Errorf("read the clock of process %d: %w", pid, err)
	}
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read the times of process %d: %w", pid, err)
	}
	_, text, _ := strings.Cut(string(content), ") ") // the name may have spaces
	fields := strings.Fields(text)
	if len(fields) < 15 {
		return 0, fmt.Errorf("read the times of process %d: %q", pid, content)
	}
	used := time.Duration(own.Nano())
	for _, field := range fields[13:15] { // cutime and cstime, in hundredths of a second
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the times of process %d: %w", pid, err)
		}
		used += time.Duration(ticks) * 10 * time.Millisecond
	}
	return used, nil
}

// rest is how long a daemon does nothing when it has finished its work, and little is the
// processor time that does not count as work.
const (
	rest   = 50 * time.Millisecond
	little = 500 * time.Microsecond
)

// settled waits until a daemon rests, and gives the processor time that it has used until then. A
// daemon that waits for the engine does not rest.
func settled(ctx context.Context, pid int, busy func() bool) (used time.Duration, err error) {
	if used, err = clock(pid); err != nil {
		return 0, err
	}
	since := time.Now()
	err = until(ctx, patience, func() error {
		now, err := clock(pid)
		if err != nil || busy() || now-used > little {
			used, since = now, time.Now()
		}
		if err == nil && time.Since(since) < rest {
			err = fmt.Errorf("process %d still works", pid)
		}
		return err
	})
	return used, err
}
