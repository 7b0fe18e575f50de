package access_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/access"
	"coin.internal/coin-agent/agent/control"
)

// door answers as the page does.
type door struct{}

func (door) Form(w http.ResponseWriter, _ *http.Request, status int, why string) {
	w.WriteHeader(status)
	fmt.Fprint(w, "form: ", why)
}

func (door) Assets(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "asset") }

// typed is a form with a token.
func typed(token, next string) func(*http.Request) {
	return func(r *http.Request) {
		body(url.Values{"token": {token}, "next": {next}}.Encode(), "application/x-www-form-urlencoded")(r)
		r.URL.Path = access.LoginPath
		r.Header.Del("Authorization")
	}
}

// with sends a cookie instead of a token.
func with(cookie *http.Cookie, path string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del("Authorization")
		r.AddCookie(cookie)
		r.URL.Path = path
	}
}

// login gives the cookie of a session.
func login(t *testing.T, handler http.Handler, token string) *http.Cookie {
	t.Helper()
	w := ask(t, handler, typed(token, "/syncs?failed=true"))
	cookies := w.Result().Cookies()
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/syncs?failed=true" || len(cookies) != 1 {
		t.Fatalf("login: %d %v %s", w.Code, w.Header(), w.Body)
	}
	return cookies[0]
}

// A token begins a session, whose cookie does not have it, that only reads, and that ends with
// its token, and after 12 hours.
func TestSession(t *testing.T) {
	good := tokens(t)
	guard, handler := guarded(t, access.Options{Listen: "127.0.0.1:9181", Tokens: good, Door: door{}})
	cookie := login(t, handler, operateToken)
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || strings.Contains(cookie.Value, operateToken) {
		t.Errorf("the cookie is %v", cookie)
	}
	if w := ask(t, handler, with(cookie, "/")); w.Code != 200 || !strings.Contains(w.Body.String(), "token:ops") {
		t.Errorf("with the session: %d %s", w.Code, w.Body)
	}
	scope := func() (allowed bool) {
		inner := guard.Protect(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			allowed = control.CallerOf(r.Context()).Scope == control.ScopeOperate
		}))
		ask(t, inner, with(cookie, "/v1/pause"))
		return allowed
	}
	if scope() {
		t.Error("a session has the agent act")
	}
	forged := *cookie
	ends, seal, _ := strings.Cut(cookie.Value, ".")
	for _, value := range []string{"", ".", ends, ends + ".", "9" + ends + "." + seal, ends + "." + seal[1:] + "0", "x." + seal} {
		forged.Value = value
		if w := ask(t, handler, with(&forged, "/")); w.Code != 401 {
			t.Errorf("the cookie %q is accepted", value)
		}
	}
	if err := guard.Reload(good[:1]); err != nil {
		t.Fatal(err)
	}
	if w := ask(t, handler, with(cookie, "/")); w.Code != 401 {
		t.Errorf("a session of a token that was taken off the list: %d", w.Code)
	}
}

func TestSessionEnds(t *testing.T) {
	good := tokens(t)
	synctest.Test(t, func(t *testing.T) {
		_, handler := guarded(t, access.Options{Listen: "127.0.0.1:9181", Tokens: good, Door: door{}})
		cookie := login(t, handler, readToken)
		time.Sleep(12*time.Hour - time.Minute)
		if w := ask(t, handler, with(cookie, "/")); w.Code != 200 {
			t.Errorf("before its end: %d", w.Code)
		}
		time.Sleep(2 * time.Minute)
		if w := ask(t, handler, with(cookie, "/")); w.Code != 401 {
			t.Errorf("after its end: %d", w.Code)
		}
	})
}

// What needs no token is the form and the assets. Links from other sites lead to the form,
// and nothing else of other sites passes.
func TestDoor(t *testing.T) {
	link := map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
	for name, test := range map[string]struct {
		method, path, body string
		headers            map[string]string
		code               int
		says               string
	}{
		"a page":               {"GET", "/", "", nil, 401, "form: "},
		"the API":              {"GET", "/v1/status", "", nil, 401, "a valid token is needed"},
		"the form":             {"GET", "/login", "", nil, 200, "form: "},
		"an asset":             {"GET", "/assets/page.css", "", nil, 200, "asset"},
		"a link":               {"GET", "/syncs/3", "", link, 401, "form: "},
		"a link to the API":    {"GET", "/v1/status", "", link, 403, "other sites"},
		"a frame":              {"GET", "/", "", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403, "other sites"},
		"another site logs in": {"POST", "/login", "token=" + readToken, map[string]string{"Origin": "http://evil.example"}, 403, "other sites"},
		"a wrong token":        {"POST", "/login", "token=" + readToken + "x", nil, 401, "not valid here"},
		"no token":             {"POST", "/login", "token=", nil, 401, "not valid here"},
		"a large form":         {"POST", "/login", "token=" + strings.Repeat("x", 5000), nil, 400, "cannot be read"},
		"the end":              {"POST", "/logout", "", nil, 303, ""},
		"a form to a page":     {"POST", "/", "x=y", nil, 401, "form: "},
	} {
		_, handler := guarded(t, access.Options{Listen: "127.0.0.1:9181", Door: door{}})
		r := httptest.NewRequestWithContext(t.Context(), test.method, "http://127.0.0.1:9181"+test.path, io.NopCloser(strings.NewReader(test.body)))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for key, value := range test.headers {
			r.Header.Set(key, value)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != test.code || !strings.Contains(w.Body.String(), test.says) {
			t.Errorf("%s: got %d %s", name, w.Code, w.Body)
		}
	}
}

// Failed logins at the form count as those at the API do, and a valid token passes all the same.
func TestFailedLoginsAtTheForm(t *testing.T) {
	_, handler := guarded(t, access.Options{Listen: "127.0.0.1:9181", Door: door{}})
	for range 10 {
		ask(t, handler, typed("wrong", "/"))
	}
	if w := ask(t, handler, typed("wrong", "/")); w.Code != http.StatusTooManyRequests {
		t.Errorf("after ten failed logins: %d", w.Code)
	}
	if w := ask(t, handler, typed(readToken, "/")); w.Code != http.StatusSeeOther {
		t.Errorf("a valid token after ten failed logins: %d", w.Code)
	}
}

func TestLocal(t *testing.T) {
	for address, want := range map[string]string{
		"/": "/", "/syncs/3": "/syncs/3", "/syncs?failed=true": "/syncs?failed=true", "": "/", "syncs": "/", "//evil.example": "/",
		"https://evil.example/": "/", `/\evil.example`: "/", "javascript:alert(1)": "/", "/\t/evil.example": "/", "///evil.example": "/",
	} {
		if got := access.Local(address); got != want {
			t.Errorf("%q: got %q, want %q", address, got, want)
		}
	}
}
