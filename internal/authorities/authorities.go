// Package authorities makes the pool of trusted certificate authorities from the
// ca_file of a setting, and an HTTP transport that trusts them. The system's authorities
// always stay trusted.
package authorities

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"os"
	"time"

	"coin.internal/coin-agent/internal/fault"
)

// Load returns the system's certificate authorities and those of a PEM file. Without
// a file it returns nil, which means the system's authorities only.
func Load(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	const hint = "set ca_file to a file with the certificate authority in PEM form"
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.New(fault.Place{File: file}, hint, "read the certificate authority: %w", errors.Unwrap(err))
	}
	pool := System()
	if !pool.AppendCertsFromPEM(content) {
		return nil, fault.New(fault.Place{File: file}, hint, "the file has no certificates")
	}
	return pool, nil
}

// Transport makes a transport for HTTP requests that trusts the authorities of Load, and
// the proxy of the environment.
func Transport(file string) (*http.Transport, error) {
	roots, err := Load(file)
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     90 * time.Second,
		ForceAttemptHTTP2:   true,
	}, nil
}

// Client makes a client for rare requests with a secret to one server: that of Direct, which
// keeps no connection.
func Client(file string) (*http.Client, error) {
	transport, err := Transport(file)
	if err != nil {
		return nil, err
	}
	transport.DisableKeepAlives = true
	return Direct(transport), nil
}

// Direct makes a client that follows no redirect, which could send a secret to another server.
func Direct(transport http.RoundTripper) *http.Client {
	refuse := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &http.Client{Transport: transport, CheckRedirect: refuse}
}

// System returns the system's certificate authorities.
func System() *x509.CertPool {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return x509.NewCertPool()
	}
	return pool
}
