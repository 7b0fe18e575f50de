package control

import (
	"net/http"
	"time"

	"coin.internal/coin-agent/agent/request"
)

const (
	// mostLarge bounds the answers that may be large and are made or sent at the same time: each
	// needs up to maxAnswer, a slow reader for as long as answerTime.
	mostLarge = 4
	// largeWait is how long a request waits for its turn.
	largeWait = 10 * time.Second
)

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
		select {
		case h.turns <- struct{}{}:
			defer func() { <-h.turns }()
			handler(w, r)
		case <-r.Context().Done():
		case <-late.C:
			w.Header().Set("Retry-After", "10")
			answer(w, nil, request.Refuse(request.Busy, "try again in a moment", "%d large answers are being read already", mostLarge))
		}
	}
}
