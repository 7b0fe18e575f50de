package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// bytesOf is an amount of memory.
type bytesOf int64

// mb is the unit of all figures: a million bytes.
const mb bytesOf = 1e6

func (b bytesOf) String() string { return fmt.Sprintf("%.1f MB", float64(b)/float64(mb)) }

// memory is what the kernel says of a process.
type memory struct {
	resident  bytesOf // all of its pages in memory
	anonymous bytesOf // those that no file has: heap and stacks
	peak      bytesOf // the most that was resident since the last reset
}

// readMemory reads the memory of a process.
func readMemory(pid int) (memory, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, fmt.Errorf("measure the agent: %w", err)
	}
	return parseStatus(content)
}

// parseStatus reads /proc/PID/status.
func parseStatus(content []byte) (memory, error) {
	var m memory
	fields := map[string]*bytesOf{"VmRSS": &m.resident, "RssAnon": &m.anonymous, "VmHWM": &m.peak}
	found := 0
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		field := fields[name]
		if field == nil {
			continue
		}
		number, unit, _ := strings.Cut(strings.TrimSpace(value), " ")
		kib, err := strconv.ParseInt(number, 10, 64)
		if err != nil || unit != "kB" {
			return memory{}, fmt.Errorf("measure the agent: %s is %q", name, value)
		}
		*field = bytesOf(kib * 1024)
		found++
	}
	if found != len(fields) {
		return memory{}, fmt.Errorf("measure the agent: the kernel gives %d of %d figures", found, len(fields))
	}
	return m, nil
}

// resetPeak has the peak of a process begin at what is resident now.
func resetPeak(pid int) error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return fmt.Errorf("reset the agent's peak: %w", err)
	}
	return nil
}
