package backoff

import (
	"sync"
	"time"
)

// Hold is a wait that a server asked for with Retry-After. It is of all requests to the server,
// from all parts of the program. The zero Hold asks for none. It is safe for concurrent use.
type Hold struct {
	mu    sync.Mutex
	until time.Time
}

// Ask holds requests for d from now on. It does not shorten an earlier Ask.
func (h *Hold) Ask(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if until := time.Now().Add(d); until.After(h.until) {
		h.until = until
	}
}

// End gives when a request may be sent again. It is past if one may be sent now.
func (h *Hold) End() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.until
}

// Left gives how long no request may be sent; 0 if one may be sent now.
func (h *Hold) Left() time.Duration { return max(0, time.Until(h.End())) }
