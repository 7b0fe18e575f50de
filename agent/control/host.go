package control

import (
	"net"
	"net/http"

	"coin.internal/coin-agent/internal/loopback"
)

// LoopbackOnly answers requests to this machine only: the Host header has to name it. A web
// page on another host whose name is made to resolve to 127.0.0.1 gets no answer.
func LoopbackOnly(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if len(host) > 2 && host[0] == '[' {
			host = host[1 : len(host)-1]
		}
		if !loopback.Is(host) {
			http.Error(w, "this address answers requests to localhost or 127.0.0.1 only", http.StatusMisdirectedRequest)
			return
		}
		handler.ServeHTTP(w, r)
	})
}
