package access

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/loopback"
)

const (
	// bodyLimit and bodyTime bound the body of a request.
	bodyLimit = 16 << 10
	bodyTime  = 10 * time.Second
	// refusedTime bounds the wait for the rest of a request that is refused.
	refusedTime = time.Second
)

// Options are the options of a guard.
type Options struct {
	Name   string // of the agent, which is part of the name of its cookie
	Listen string // the address that the API is served on
	Tokens []Token
	Names  []string     // by which others reach the address, besides its host and those of the certificate
	AnyIP  bool         // requests may name the host by any IP address, which no page of another site can do
	Source string       // the setting with the tokens, for hints; "" for api_tokens
	Cert   *Certificate // nil: without TLS, on loopback
	Door   Door         // of the page; nil: the API alone
	Log    *slog.Logger
}

// Guard lets requests with a valid token pass.
type Guard struct {
	options  Options // with the tokens that were listed last
	logins   atomic.Pointer[[]login]
	failures failures
	admitted admitted
}

// New makes a guard, and reads the tokens.
func New(options Options) (*Guard, error) {
	g := &Guard{options: options}
	return g, g.Reload(options.Tokens)
}

// Reload takes another list of tokens, and reads their files again. Those that are not in
// the list, or cannot be read, are refused from then on, and what is being answered for them
// ends. The error is about those that cannot be read.
func (g *Guard) Reload(tokens []Token) error {
	logins, err := readTokens(tokens)
	g.options.Tokens = tokens
	g.logins.Store(&logins)
	g.admitted.keep(logins)
	return err
}

// Shrink is Reload with a list that may be incomplete or wrong: it adds no token, and takes
// those away that a list with any tokens lacks.
func (g *Guard) Shrink(tokens []Token) error {
	return g.Reload(slices.DeleteFunc(slices.Clone(g.options.Tokens), func(known Token) bool {
		return len(tokens) > 0 && !slices.Contains(tokens, known)
	}))
}

// Tokens names the tokens that are accepted, each with its scope, sorted.
func (g *Guard) Tokens() []string {
	var names []string
	for _, one := range *g.logins.Load() {
		names = append(names, fmt.Sprintf("%s (%s)", one.caller.Actor.Name, one.caller.Scope))
	}
	slices.Sort(names)
	return names
}

// ReloadCertificate reads the certificate again. An error changes nothing.
func (g *Guard) ReloadCertificate() error {
	if g.options.Cert == nil {
		return nil
	}
	return g.options.Cert.Reload()
}

// Protect gives requests that pass to a handler.
func (g *Guard) Protect(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.enter(w, r, "") {
			return
		}
		if g.atDoor(w, r) {
			return
		}
		pass, ok := g.login(w, r)
		if !ok {
			return
		}
		ctx, done := g.admitted.add(r.Context(), pass)
		defer done()
		if pass.form != "" && isForm(r) {
			ok = g.readForm(w, r, pass.form)
		} else {
			ok = readBody(w, r)
		}
		switch {
		case !ok:
			return
		case ctx.Err() != nil || !g.accepts(pass.login): // the body may have taken its time
			refuse(w, http.StatusUnauthorized, "the token is not accepted any more", "")
			return
		}
		handler.ServeHTTP(w, r.WithContext(withForm(control.WithCaller(ctx, pass.login.caller), pass.form)))
	})
}

// enter limits the time of a request, and refuses one that a foreign page or name has sent.
func (g *Guard) enter(w http.ResponseWriter, r *http.Request, hint string) bool {
	g.harden(w.Header())
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime)) // a test's writer has none
	status, why := g.foreign(r)
	if status != 0 {
		refuse(w, status, why, hint)
	}
	return status == 0
}

// Hook lets a handler answer requests that have a secret of their own. It gives false, and
// answers nothing, if the secret is not valid: then Hook refuses, and an address that has sent
// many of those has to wait. A valid secret passes however many others failed.
func (g *Guard) Hook(handle func(http.ResponseWriter, *http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.enter(w, r, "") {
			return
		}
		if handle(w, r) {
			return
		}
		wait, last := g.failures.add(place(r.RemoteAddr), time.Now())
		g.warnOf(r, last)
		if wait > 0 {
			g.refuseGuesses(w, wait, "wait a minute, or send a valid token")
			return
		}
		refuse(w, http.StatusUnauthorized, "the hook's token or signature is not valid", "")
	})
}

// refuseGuesses tells a sender with too many failed logins to wait.
func (g *Guard) refuseGuesses(w http.ResponseWriter, wait time.Duration, hint string) {
	w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
	refuse(w, http.StatusTooManyRequests, "too many failed logins", hint)
}

// harden sets the headers that tell a browser to do nothing with an answer but show it.
func (g *Guard) harden(header http.Header) {
	for name, value := range map[string]string{
		"Cache-Control":                "no-store",
		"Content-Security-Policy":      "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Referrer-Policy":              "no-referrer",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
	} {
		header.Set(name, value)
	}
	if g.options.Cert != nil {
		header.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// foreign refuses requests to another host, which a name that resolves to this one may
// bring here, and those that the page of another site sends.
func (g *Guard) foreign(r *http.Request) (status int, why string) {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host = strings.Trim(host, "[]"); !g.serves(host) {
		return http.StatusMisdirectedRequest, "this address does not answer requests to that host"
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" && !g.visits(r) {
			return http.StatusForbidden, "requests of other sites' pages are refused"
		}
		return 0, ""
	}
	scheme := "http"
	if g.options.Cert != nil {
		scheme = "https"
	}
	if from, err := url.Parse(origin); err != nil || from.Scheme != scheme || !strings.EqualFold(from.Host, r.Host) {
		return http.StatusForbidden, "requests of other sites' pages are refused"
	}
	return 0, ""
}

// serves reports whether a host is a name of this one: of loopback, of the listener, or of
// the certificate.
func (g *Guard) serves(host string) bool {
	listened, _, _ := net.SplitHostPort(g.options.Listen)
	return loopback.Is(host) || host != "" && (host == listened || slices.Contains(g.options.Names, host)) || g.options.AnyIP && net.ParseIP(host) != nil || g.options.Cert != nil && g.options.Cert.names(host)
}

// login finds out who sent a request, or answers why that is not known. A valid token passes
// however many others from its address have failed: it has too many bits to be guessed.
func (g *Guard) login(w http.ResponseWriter, r *http.Request) (pass, bool) {
	if found, valid := g.session(r); valid && r.Header.Get("Authorization") == "" {
		return found, true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") && token != "" {
		if found, known := find(*g.logins.Load(), strings.TrimSpace(token)); known {
			return pass{login: found}, true
		}
	}
	if token != "" {
		wait, last := g.failures.add(place(r.RemoteAddr), time.Now())
		g.warnOf(r, last)
		if wait > 0 {
			g.refuseGuesses(w, wait, "wait a minute, or send a valid token")
			return pass{}, false
		}
	}
	if g.options.Door != nil && !strings.HasPrefix(r.URL.Path, apiPath) {
		why := ""
		if r.Method == http.MethodPost {
			why = "Your session has ended. Nothing was done. Log in, and fill in the form again."
		}
		g.form(w, r, http.StatusUnauthorized, why)
		return pass{}, false
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="coin-agent"`)
	refuse(w, http.StatusUnauthorized, "a valid token is needed", "send it as Authorization: Bearer TOKEN; "+cmp.Or(g.options.Source, "api_tokens")+" in agent.yml names the files")
	return pass{}, false
}

// accepts reports whether the token of a login is still accepted.
func (g *Guard) accepts(of login) bool {
	return slices.ContainsFunc(*g.logins.Load(), func(l login) bool { return l.sum == of.sum })
}

// warnOf logs that the sender of a request has failed for the last time that is allowed.
func (g *Guard) warnOf(r *http.Request, last bool) {
	if last {
		g.options.Log.Warn("too many failed logins", "from", cmp.Or(place(r.RemoteAddr).String(), "unknown"))
	}
}

// readBody reads the body of a request within its limits, or answers why not.
func readBody(w http.ResponseWriter, r *http.Request) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		refuse(w, http.StatusRequestEntityTooLarge, "the request is larger than 16 KiB", "")
	case err != nil:
		refuse(w, http.StatusBadRequest, "the request cannot be read", "")
	case len(body) > 0 && !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		refuse(w, http.StatusUnsupportedMediaType, "the request is not JSON", "send it with Content-Type: application/json") // no form of a page can send that
	default:
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		r.Body = io.NopCloser(bytes.NewReader(body))
		return true
	}
	return false
}

// refuse answers as the handlers do, and ends the connection: a sender who is refused keeps no
// place of the listener, and the rest of the request is not waited for.
func refuse(w http.ResponseWriter, status int, why, hint string) {
	closeAfter(w)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Error string `json:"error"`
		Hint  string `json:"hint,omitempty"`
	}{why, hint})
}

// closeAfter has the connection end with the answer.
func closeAfter(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(refusedTime))
	w.Header().Set("Connection", "close")
}

// RefuseOpen refuses an address that is not on loopback without a certificate.
func RefuseOpen(listen string, tls bool) error {
	host, _, err := net.SplitHostPort(listen)
	switch {
	case err != nil:
		return fault.New(fault.Place{}, "write it as 127.0.0.1:9181 or 0.0.0.0:9181", "api_listen %q is not an address with a port", listen)
	case !tls && !loopback.Is(host):
		return fault.New(fault.Place{}, "set api_cert_file and api_key_file, or listen on 127.0.0.1", "api_listen %q is not a loopback address, and there is no TLS: others could read the tokens", listen)
	}
	return nil
}
