// Package fuzzed bounds what a fuzz target may take: it takes the call with one input, and fails
// the test if the call takes more than 2 s of processor time, does not end, or makes the
// process take more than 512 MiB.
package fuzzed

import (
	"flag"
	"syscall"
	"testing"
	"time"
)

const (
	mostTime   = 2 * time.Second
	mostMemory = 512 << 20
	hang       = 30 * time.Second // of the clock: other processes may have the processor
)

// Bounded makes the call. Processor time and memory are those of a process that only fuzzes,
// so they are compared in no other one.
func Bounded(t *testing.T, call func()) {
	t.Helper()
	ends := time.AfterFunc(hang, func() { panic("the input does not end") }) // the fuzzer keeps the input
	defer ends.Stop()
	before, _ := used(t)
	call()
	after, peak := used(t)
	if worker := flag.Lookup("test.fuzzworker"); worker == nil || worker.Value.String() != "true" {
		return
	}
	if took := after - before; took > mostTime {
		t.Errorf("the input takes %s", took)
	}
	if peak > mostMemory {
		t.Errorf("the process takes %d MiB", peak>>20)
	}
}

// used gives the processor time and the most memory of the process.
func used(t *testing.T) (took time.Duration, peak int64) {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), usage.Maxrss << 10
}
