package access

import (
	"crypto/hmac"
	"crypto/rand"
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

// A session is a cookie: its end, a random text, and a code of both, and of the address that it
// began from, by the token. So the cookie does not have the token, the agent keeps no list of
// sessions, a session ends with its token, and another service of the host, to which a browser
// sends the cookie as well, has no use for it. At the API it can ask, and not have the agent act:
// that takes a form of the page.

// pass is a login, and the code that the forms of its session have; "" without a session.
type pass struct {
	login login
	form  string
	ends  time.Time // of the session; zero for a token itself
}

// cookieName is the name of the cookie. Browsers take one with this prefix only over TLS,
// from this host, and for all paths; they send it to all ports, where other agents may be.
func (g *Guard) cookieName() string {
	sum := sha256.Sum256([]byte(g.options.Name))
	name := "coin-agent-" + hex.EncodeToString(sum[:4])
	if g.options.Cert != nil {
		return "__Host-" + name
	}
	return name
}

func (g *Guard) cookie(value string, age int) *http.Cookie {
	return &http.Cookie{
		Name: g.cookieName(), Value: value, Path: "/", MaxAge: age,
		HttpOnly: true, Secure: g.options.Cert != nil, SameSite: http.SameSiteStrictMode,
	}
}

// seal gives the code of a text by a token.
func (l login) seal(what, text string) string {
	mac := hmac.New(sha256.New, l.sum[:])
	_, _ = mac.Write([]byte("coin-agent " + what + " " + text)) // never returns an error
	return hex.EncodeToString(mac.Sum(nil))
}

// cookieOf gives the value of the cookie of a new session.
func (l login) cookieOf(now time.Time, from string) string {
	text := strconv.FormatInt(now.Add(sessionTime).Unix(), 10) + "-" + rand.Text()
	return text + "." + l.seal("session", text+" from "+from)
}

// session gives the pass of a request with a valid session.
func (g *Guard) session(r *http.Request) (found pass, valid bool) {
	cookie, err := r.Cookie(g.cookieName())
	if g.options.Door == nil || err != nil {
		return found, false
	}
	text, seal, _ := strings.Cut(cookie.Value, ".")
	ends, _, _ := strings.Cut(text, "-")
	at, err := strconv.ParseInt(ends, 10, 64)
	if err != nil || !time.Now().Before(time.Unix(at, 0)) {
		return found, false
	}
	for _, one := range *g.logins.Load() {
		if subtle.ConstantTimeCompare([]byte(one.seal("session", text+" from "+place(r.RemoteAddr).String())), []byte(seal)) == 1 {
			found, valid = pass{one, one.seal("form", cookie.Value), time.Unix(at, 0)}, true
		}
	}
	if strings.HasPrefix(r.URL.Path, apiPath) {
		found.login.caller.Scope = control.ScopeRead
	}
	return found, valid
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
		if _, valid := g.session(r); !valid {
			closeAfter(w)
		}
		door.Assets(w, r)
	case get && r.URL.Path == LoginPath:
		g.form(w, r, http.StatusOK, "")
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
		g.form(w, r, http.StatusBadRequest, "The form cannot be read.")
		return
	}
	token := strings.TrimSpace(r.PostForm.Get("token"))
	if found, known := find(*g.logins.Load(), token); known {
		http.SetCookie(w, g.cookie(found.cookieOf(now, place(r.RemoteAddr).String()), int(sessionTime/time.Second)))
		http.Redirect(w, r, Local(r.PostForm.Get("next")), http.StatusSeeOther)
		return
	}
	if token != "" {
		wait, last := g.failures.add(place(r.RemoteAddr), now)
		g.warnOf(r, last)
		if wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
			g.form(w, r, http.StatusTooManyRequests, "This token is not valid here. Wait a minute before you try again.")
			return
		}
	}
	g.form(w, r, http.StatusUnauthorized, "This token is not valid here.")
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
