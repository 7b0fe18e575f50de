package cosign

import (
	"net/http"

	"coin.internal/coin-agent/internal/bounded"
)

// Guarded gives the client by which a registry is asked.
func Guarded(next http.RoundTripper, host string) *http.Client {
	return guarded(next, host, bounded.Answers(host, 1<<20))
}

// Trust adds the authorities of a folder to those that a transport trusts.
func Trust(transport *http.Transport, folder string) error { return trust(transport, folder) }
