package access

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// failuresAllowed is how many failed logins an address may have within the window.
	failuresAllowed = 10
	window          = time.Minute
	// watched bounds the addresses that are remembered.
	watched = 10_000
)

// failures count failed logins by the address that they come from.
type failures struct {
	mu    sync.Mutex
	began time.Time // of the window
	count map[netip.Prefix]int
}

// place is the address that failures are counted for: of IPv6 the network, since a host has
// many addresses there.
func place(remote string) netip.Prefix {
	address, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	bits := 32
	if !address.Addr().Unmap().Is4() {
		bits = 64
	}
	prefix, _ := address.Addr().Unmap().Prefix(bits) // the bits fit
	return prefix
}

// add notes a failure. It gives how long the address should wait before it tries again, 0 for
// not at all, and whether this is the last one that is allowed. Addresses beyond those that
// are remembered need not wait.
func (f *failures) add(from netip.Prefix, now time.Time) (wait time.Duration, last bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn(now)
	count, known := f.count[from]
	switch {
	case count >= failuresAllowed:
		return f.began.Add(window).Sub(now), false
	case known || len(f.count) < watched:
		f.count[from] = count + 1
	}
	return 0, count+1 == failuresAllowed
}

// turn begins a new window when the last one is over.
func (f *failures) turn(now time.Time) {
	if f.count == nil || now.Sub(f.began) >= window {
		f.began, f.count = now, map[netip.Prefix]int{}
	}
}
