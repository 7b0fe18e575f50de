package control

import (
	"net/http"
	"sync"
	"time"

	"coin.internal/coin-agent/agent/request"
)

const (
	// mostLarge bounds the answers that may be large and are made or sent at the same time: each
	// needs up to maxAnswer, a slow reader for as long as answerTime.
	mostLarge = 4
	// mostRead bounds those of callers who may only read: the rest is left for operators.
	mostRead = mostLarge - 1
	// mostOwn bounds those of one caller.
	mostOwn = 2
	// largeWait is how long a request waits for its turn.
	largeWait = 10 * time.Second
)

// ration has few large answers made or sent at the same time, or few streams open.
type ration struct {
	most, mostRead, mostOwn int // of all callers, of those who may only read, and of one

	mu      sync.Mutex
	all     int
	readers int
	own     map[string]int // by caller
	freed   chan struct{}  // closed, and replaced, when an answer has ended
}

func newRation(most, read, own int) *ration {
	return &ration{most: most, mostRead: read, mostOwn: own, own: map[string]int{}, freed: make(chan struct{})}
}

// take gives the caller a turn, or what is closed when the next one is free.
func (r *ration) take(caller Caller) (taken bool, freed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := caller.Actor.Name
	if r.all == r.most || r.own[name] == r.mostOwn || caller.Scope != ScopeOperate && r.readers == r.mostRead {
		return false, r.freed
	}
	r.add(caller, 1)
	return true, nil
}

func (r *ration) give(caller Caller) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(caller, -1)
	close(r.freed)
	r.freed = make(chan struct{})
}

func (r *ration) add(caller Caller, n int) {
	r.all += n
	if caller.Scope != ScopeOperate {
		r.readers += n
	}
	name := caller.Actor.Name
	if r.own[name] += n; r.own[name] == 0 {
		delete(r.own, name)
	}
}

// large marks endpoints whose answers may be large.
func (h *handlers) large(routes ...route) []route {
	for i := range routes {
		routes[i].handler = h.inTurn(routes[i].handler)
	}
	return routes
}

// inTurn has few requests answered at the same time, until the reader has the answer. Others
// wait, and are refused if that takes too long.
func (h *handlers) inTurn(handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		late := time.NewTimer(largeWait)
		defer late.Stop()
		caller := CallerOf(r.Context())
		for {
			taken, freed := h.turns.take(caller)
			if taken {
				defer h.turns.give(caller)
				handler(w, r)
				return
			}
			select {
			case <-freed:
			case <-r.Context().Done():
				return
			case <-late.C:
				w.Header().Set("Retry-After", "10")
				answer(w, nil, request.Refuse(request.Busy, "try again in a moment", "too many large answers are being read already"))
				return
			}
		}
	}
}
