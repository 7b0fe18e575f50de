package access

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/loopback"
)

// Metrics says how metrics and health are served to other machines.
type Metrics struct {
	Listen            string // "": they are not
	CertFile, KeyFile string // "": without TLS
	TokenFile         string // "": without a token
	Hosts             []string
	Open              bool // off loopback, TLS and token may be missing
}

// Validate refuses what would show the metrics, or the token, to more machines than the
// operator said.
func (m Metrics) Validate() error {
	refuse := func(hint, format string, args ...any) error {
		return fault.New(fault.Place{}, hint, format, args...)
	}
	host, _, err := net.SplitHostPort(m.Listen)
	tls, token := m.CertFile != "" && m.KeyFile != "", m.TokenFile != ""
	switch {
	case m.Listen == "" && (m.CertFile != "" || m.KeyFile != "" || token || m.Open || len(m.Hosts) > 0):
		return refuse("set metrics_listen, or leave out the other metrics_ settings", "the setting metrics_listen is missing")
	case m.Listen == "":
		return nil
	case !tls && (m.CertFile != "" || m.KeyFile != ""):
		return refuse("set both, or neither", "metrics_cert_file and metrics_key_file belong together")
	case err != nil:
		return refuse("write it as 127.0.0.1:9182 or 0.0.0.0:9182", "metrics_listen %q is not an address with a port", m.Listen)
	case loopback.Is(host) || m.Open:
		return nil
	case !tls:
		return refuse("set metrics_cert_file and metrics_key_file, or metrics_open: true for a network that only Prometheus is in",
			"metrics_listen %q is not a loopback address, and there is no TLS: others could read the metrics and the token", m.Listen)
	case !token:
		return refuse("set metrics_token_file (openssl rand -hex 32), or metrics_open: true for a network that only Prometheus is in",
			"metrics_listen %q is not a loopback address, and there is no token: everyone who reaches it could read the metrics", m.Listen)
	}
	return nil
}

// Tokens lists the token that the settings name.
func (m Metrics) Tokens() []Token {
	if m.TokenFile == "" {
		return nil
	}
	return []Token{{Name: "of metrics_listen", File: m.TokenFile, Scope: control.ScopeRead}}
}

// Exposition serves metrics and health at an address of their own, apart from the API.
type Exposition struct {
	guard    *Guard
	listener net.Listener
	demands  bool // a token
}

// Expose opens the address.
func Expose(m Metrics, log *slog.Logger) (*Exposition, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	var cert *Certificate
	var err error
	if m.CertFile != "" {
		if cert, err = ReadCertificate(m.CertFile, m.KeyFile); err != nil {
			return nil, err
		}
	}
	guard, err := New(Options{Listen: m.Listen, Tokens: m.Tokens(), Names: m.Hosts, AnyIP: true, Source: "metrics_token_file", Cert: cert, Log: log})
	if err != nil {
		return nil, err
	}
	listener, err := open(m.Listen, cert)
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("listen for metrics: %w", err), "correct metrics_listen, or end what listens there")
	}
	return &Exposition{guard, listener, len(guard.options.Tokens) > 0}, nil
}

// Listener gives the open address.
func (e *Exposition) Listener() net.Listener { return e.listener }

// Reload reads the token and the certificate again. A token that cannot be read is refused
// from then on; a certificate that cannot be read changes nothing.
func (e *Exposition) Reload() error {
	return errors.Join(e.guard.Reload(e.guard.options.Tokens), e.guard.ReloadCertificate())
}

// Handler gives requests to a handler that may read: those with the token, or each if there
// is none.
func (e *Exposition) Handler(handler http.Handler) http.Handler {
	g := e.guard
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.enter(w, r, "list the name in metrics_hosts of agent.yml") {
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			refuse(w, http.StatusMethodNotAllowed, "metrics and health are only read", "")
			return
		}
		if e.demands {
			if _, known := g.login(w, r); !known {
				return
			}
		}
		handler.ServeHTTP(w, r)
	})
}
