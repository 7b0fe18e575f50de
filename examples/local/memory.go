package local

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Bytes is an amount of memory.
type Bytes int64

// MB is the unit of all figures: a million bytes.
const MB Bytes = 1e6

func (b Bytes) String() string { return fmt.Sprintf("%.1f MB", float64(b)/float64(MB)) }

// Memory is what the kernel says of a process.
type Memory struct {
	Resident  Bytes // all of its pages in memory
	Anonymous Bytes // those that no file has: heap and stacks
	Peak      Bytes // the most that was resident since the last reset
}

// MemoryOf reads the memory of a process.
func MemoryOf(pid int) (Memory, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Memory{}, fmt.Errorf("read the memory of a process: %w", err)
	}
	return MemoryIn(content)
}

// MemoryIn reads /proc/PID/status.
func MemoryIn(content []byte) (Memory, error) {
	var m Memory
	fields := map[string]*Bytes{"VmRSS": &m.Resident, "RssAnon": &m.Anonymous, "VmHWM": &m.Peak}
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
			return Memory{}, fmt.Errorf("read the memory of a process: %s is %q", name, value)
		}
		*field = Bytes(kib * 1024)
		found++
	}
	if found != len(fields) {
		return Memory{}, fmt.Errorf("read the memory of a process: the kernel gives %d of %d figures", found, len(fields))
	}
	return m, nil
}

// ResetPeak has the peak of a process begin at what is resident now.
func ResetPeak(pid int) error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return fmt.Errorf("reset the peak of a process: %w", err)
	}
	return nil
}
