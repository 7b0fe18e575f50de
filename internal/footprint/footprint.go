// Package footprint gives memory back to the kernel that a process needed for its work and does
// not need while it waits: what the heap has free, and pages of the program that the kernel
// has in its cache. It changes nothing that the program sees.
package footprint

import (
	"bufio"
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Step is how much a process allocates before it is worth a collection to give memory back, which
// takes some milliseconds. A look at 20 services allocates 0.1 to 0.4 MB, a sync of them 10 MB.
const Step = 2 << 20

// Memory is the memory of this process.
type Memory struct {
	program []mapping
	also    []func()

	mu        sync.Mutex
	allocated uint64 // when memory was last given back
}

// New gives the memory of this process. Others that hold memory give it back at the same time.
func New(also ...func()) *Memory {
	m := &Memory{also: also}
	path, pathErr := os.Readlink("/proc/self/exe")
	smaps, err := os.ReadFile("/proc/self/smaps")
	if pathErr == nil && err == nil { // else the program's pages stay
		m.program = clean(smaps, path)
	}
	return m
}

// Rest gives memory back if the process has allocated much since the last time. It is for a
// process that begins to wait.
func (m *Memory) Rest() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if allocated() >= m.allocated+Step {
		m.release()
	}
}

// Release gives memory back.
func (m *Memory) Release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.release()
}

func (m *Memory) release() {
	m.allocated = allocated() // what others allocate meanwhile may have to be given back later
	runtime.GC()              // what is in a pool is garbage for the next collection, and stacks shrink by half in each
	debug.FreeOSMemory()
	for _, one := range m.program {
		// A failure leaves the pages where they are.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, one.start, one.end-one.start, unix.MADV_DONTNEED)
	}
	for _, give := range m.also {
		give()
	}
}

// allocated gives how many bytes the process has allocated so far.
func allocated() uint64 {
	read := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(read)
	return read[0].Value.Uint64()
}

// mapping is a range of addresses.
type mapping struct{ start, end uintptr }

// clean gives the mappings of the program's file that nothing is written to and of which the
// process has no pages of its own: when one of their pages is touched, the kernel takes it from
// its cache again. They stay where they are until the process ends.
func clean(smaps []byte, program string) (found []mapping) {
	var current mapping
	of := false
	for lines := bufio.NewScanner(bytes.NewReader(smaps)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) > 1 && !strings.HasSuffix(fields[0], ":"): // the line that begins a mapping
			current, of = addresses(fields[0])
			of = of && strings.HasSuffix(lines.Text(), " "+program) && strings.HasPrefix(fields[1], "r") && !strings.Contains(fields[1], "w")
		case of && len(fields) == 3 && fields[0] == "Anonymous:" && fields[1] == "0":
			found = append(found, current)
		}
	}
	return found
}

// addresses reads a range of addresses, such as 00400000-00e2f000.
func addresses(text string) (m mapping, ok bool) {
	from, to, _ := strings.Cut(text, "-")
	start, startErr := strconv.ParseUint(from, 16, 64)
	end, endErr := strconv.ParseUint(to, 16, 64)
	return mapping{uintptr(start), uintptr(end)}, startErr == nil && endErr == nil && start < end
}
