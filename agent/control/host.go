package control

import (
	"net"
	"net/http"
	"strings"

	"coin.internal/coin-agent/internal/loopback"
)

// LoopbackOnly answers requests to this machine only: the Host header has to name it. A web
// page on another host whose name is made to resolve to 127.0.0.1 gets no answer.
func LoopbackOnly(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopback.Is(hostOf(r)) {
			http.Error(w, "this address answers requests to localhost or 127.0.0.1 only", http.StatusMisdirectedRequest)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

// hostOf gives the name of the host that a request is for.
func hostOf(r *http.Request) string {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.Trim(host, "[]")
}

// NoOtherSites answers on a socket, which a user may have forwarded to a browser. It refuses
// the requests of other sites' pages, and those to the name of a host, which such a page
// can make resolve to the forwarded port. A browser can only ask: the agent does not know who uses it.
func NoOtherSites(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, origin := hostOf(r), r.Header.Get("Origin")
		site := r.Header.Get("Sec-Fetch-Site")
		browser := origin != "" || site != "" || r.Header.Get("Accept-Language") != "" // no page can leave that out
		switch {
		case !loopback.Is(host) && (host != agentHost || browser):
			http.Error(w, "the socket does not answer requests to that host", http.StatusMisdirectedRequest)
		case origin != "" && origin != "http://"+r.Host, site != "" && site != "same-origin" && site != "none":
			http.Error(w, "requests of other sites' pages are refused", http.StatusForbidden)
		case browser:
			caller := CallerOf(r.Context())
			caller.Scope = ScopeRead
			handler.ServeHTTP(w, r.WithContext(WithCaller(r.Context(), caller)))
		default:
			handler.ServeHTTP(w, r)
		}
	})
}

// agentHost is the host to which clients on the socket send requests.
const agentHost = "agent"
