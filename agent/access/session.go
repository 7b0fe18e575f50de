package access

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/control"
)

// Door is the part of the page that needs no token.
type Door interface {
	// Form answers with a form that asks for a token. why says what is wrong; "" for nothing.
	Form(w http.ResponseWriter, r *http.Request, status int, why string)
	// Assets answers requests below AssetPath.
	Assets(w http.ResponseWriter, r *http.Request)
}

// Paths of the page that need no token, and those of the API.
const (
	AssetPath  = "/assets/"
	LoginPath  = "/login"
	LogoutPath = "/logout"
	apiPath    = "/v1/"
)

const (
	// sessionTime is how long a session lasts.
	sessionTime = 12 * time.Hour
	// formLimit bounds the form with a token.
	formLimit = 4 << 10
)

// A session is a cookie: the time at which it ends, and a code of that time by the token. So
// the cookie does not have the token, the agent keeps no list of sessions, and a session ends
// with its token. It can ask, and not have the agent act.

// cookieName is the name of the cookie. Browsers take one with this prefix only over TLS,
// from this host, and for all paths.
func (g *Guard) cookieName() string {
	if g.options.Cert != nil {
		return "__Host-coin-agent"
	}
	return "coin-agent"
}

func (g *Guard) cookie(value string, age int) *http.Cookie {
	return &http.Cookie{
		Name: g.cookieName(), Value: value, Path: "/", MaxAge: age,
		HttpOnly: true, Secure: g.options.Cert != nil, SameSite: http.SameSiteStrictMode,
	}
}

// seal gives the code of a time by a token.
func (l login) seal(ends string) string {
	mac := hmac.New(sha256.New, l.sum[:])
	_, _ = mac.Write([]byte("coin-agent session until " + ends)) // never returns an error
	return hex.EncodeToString(mac.Sum(nil))
}

// session gives the caller of a request with a valid session.
func (g *Guard) session(r *http.Request) (caller control.Caller, found bool) {
	cookie, err := r.Cookie(g.cookieName())
	if g.options.Door == nil || err != nil {
		return caller, false
	}
	ends, seal, _ := strings.Cut(cookie.Value, ".")
	at, err := strconv.ParseInt(ends, 10, 64)
	if err != nil || !time.Now().Before(time.Unix(at, 0)) {
		return caller, false
	}
	for _, one := range *g.logins.Load() {
		if subtle.ConstantTimeCompare([]byte(one.seal(ends)), []byte(seal)) == 1 {
			caller, found = control.Caller{Actor: one.caller.Actor, Scope: control.ScopeRead}, true
		}
	}
	return caller, found
}

// atDoor answers requests that need no token, and reports whether it did.
func (g *Guard) atDoor(w http.ResponseWriter, r *http.Request) bool {
	door := g.options.Door
	if door == nil {
		return false
	}
	get := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case get && strings.HasPrefix(r.URL.Path, AssetPath):
		door.Assets(w, r)
	case get && r.URL.Path == LoginPath:
		door.Form(w, r, http.StatusOK, "")
	case r.Method == http.MethodPost && r.URL.Path == LoginPath:
		g.begin(w, r)
	case r.Method == http.MethodPost && r.URL.Path == LogoutPath:
		http.SetCookie(w, g.cookie("", -1))
		http.Redirect(w, r, LoginPath, http.StatusSeeOther)
	default:
		return false
	}
	return true
}

// begin begins a session for a token that was typed.
func (g *Guard) begin(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	_ = http.NewResponseController(w).SetReadDeadline(now.Add(bodyTime)) // a test's writer has none
	r.Body = http.MaxBytesReader(w, r.Body, formLimit)
	if err := r.ParseForm(); err != nil {
		g.options.Door.Form(w, r, http.StatusBadRequest, "The form cannot be read.")
		return
	}
	token := strings.TrimSpace(r.PostForm.Get("token"))
	for _, one := range *g.logins.Load() {
		if _, found := find([]login{one}, token); !found {
			continue
		}
		ends := strconv.FormatInt(now.Add(sessionTime).Unix(), 10)
		http.SetCookie(w, g.cookie(ends+"."+one.seal(ends), int(sessionTime/time.Second)))
		http.Redirect(w, r, Local(r.PostForm.Get("next")), http.StatusSeeOther)
		return
	}
	if token != "" {
		wait, last := g.failures.add(place(r.RemoteAddr), now)
		g.warnOf(r, last)
		if wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
			g.options.Door.Form(w, r, http.StatusTooManyRequests, "This token is not valid here. Wait a minute before you try again.")
			return
		}
	}
	g.options.Door.Form(w, r, http.StatusUnauthorized, "This token is not valid here.")
}

// Local gives an address within this host; / for any other text.
func Local(address string) string {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme != "" || parsed.Host != "" || parsed.User != nil || !strings.HasPrefix(parsed.Path, "/") ||
		strings.HasPrefix(parsed.Path, "//") || strings.ContainsAny(address, "\\\t\r\n") {
		return "/"
	}
	return (&url.URL{Path: parsed.Path, RawQuery: parsed.RawQuery}).String()
}

// visits reports whether a request is that of a person who follows a link to the page: it
// changes nothing, and the other site cannot read the answer.
func (g *Guard) visits(r *http.Request) bool {
	return g.options.Door != nil && r.Method == http.MethodGet && !strings.HasPrefix(r.URL.Path, apiPath) &&
		r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}
