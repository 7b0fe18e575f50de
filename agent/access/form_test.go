package access_test

import (
	"context"
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

// codeOf gives the code that the forms of a session have.
func codeOf(t *testing.T, guard *access.Guard, cookie *http.Cookie) (code string) {
	t.Helper()
	ask(t, guard.Protect(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { code = access.FormOf(r.Context()) })), with(cookie, "/"))
	return code
}

// A form acts for the session that it is of, if the browser says that it is of this site. The
// session's cookie alone has the agent do nothing.
func TestForms(t *testing.T) {
	guard, handler := guarded(t, access.Options{Listen: "127.0.0.1:9181", Door: door{}})
	cookie, other, reader := login(t, handler, operateToken), login(t, handler, operateToken), login(t, handler, readToken)
	code := codeOf(t, guard, cookie)
	if code == "" || strings.Contains(cookie.Value, code) || code == codeOf(t, guard, other) || code == codeOf(t, guard, reader) {
		t.Fatalf("the code is %q", code)
	}
	var scope control.Scope
	acting := guard.Protect(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		scope = control.CallerOf(r.Context()).Scope
		if r.PostForm.Get("reason") != "the fair" || control.Peer(r.Context()).String() == "" {
			t.Errorf("the form is %v of %s", r.PostForm, control.Peer(r.Context()))
		}
	}))
	own := map[string]string{"Origin": "http://127.0.0.1:9181"}
	for name, test := range map[string]struct {
		cookie  *http.Cookie
		code    string
		headers map[string]string
		status  int
		scope   control.Scope
	}{
		"a form":                   {cookie, code, own, 200, control.ScopeOperate},
		"without an origin":        {cookie, code, map[string]string{"Sec-Fetch-Site": "same-origin"}, 200, control.ScopeOperate},
		"of a reader":              {reader, codeOf(t, guard, reader), own, 200, control.ScopeRead},
		"no code":                  {cookie, "", own, 403, ""},
		"a wrong code":             {cookie, code[1:] + "0", own, 403, ""},
		"the code of another":      {cookie, codeOf(t, guard, other), own, 403, ""},
		"nothing of where it is":   {cookie, code, nil, 403, ""},
		"a typed address":          {cookie, code, map[string]string{"Sec-Fetch-Site": "none"}, 403, ""},
		"another site":             {cookie, code, map[string]string{"Origin": "https://evil.example"}, 403, ""},
		"a site beside it":         {cookie, code, map[string]string{"Sec-Fetch-Site": "same-site"}, 403, ""},
		"a frame without origin":   {cookie, code, map[string]string{"Origin": "null"}, 403, ""},
		"without a session":        {nil, code, own, 401, ""},
		"from another port's page": {cookie, code, map[string]string{"Origin": "http://127.0.0.1:80"}, 403, ""},
	} {
		scope = ""
		w := ask(t, acting, func(r *http.Request) {
			body(url.Values{access.FormField: {test.code}, "reason": {"the fair"}}.Encode(), "application/x-www-form-urlencoded")(r)
			r.Header.Del("Authorization")
			r.URL.Path = "/act/pause"
			if test.cookie != nil {
				r.AddCookie(test.cookie)
			}
			for key, value := range test.headers {
				r.Header.Set(key, value)
			}
		})
		if w.Code != test.status || scope != test.scope {
			t.Errorf("%s: %d with the scope %q: %s", name, w.Code, scope, w.Body)
		}
		if w.Code != 200 && !strings.Contains(w.Body.String(), "Nothing was done") && !strings.Contains(w.Body.String(), "other sites") {
			t.Errorf("%s: the refusal does not say that nothing was done: %s", name, w.Body)
		}
	}
	large := ask(t, acting, func(r *http.Request) {
		body(access.FormField+"="+code+"&reason="+strings.Repeat("x", 20_000), "application/x-www-form-urlencoded")(r)
		header("Origin", "http://127.0.0.1:9181")(r)
		with(cookie, "/act/pause")(r)
	})
	if large.Code != http.StatusBadRequest {
		t.Errorf("a large form: %d", large.Code)
	}
}

// The cookie of a session is of no use to those to whom the browser sends it as well, and one
// agent does not end the session at another one of the same host.
func TestCookieOfOneAgent(t *testing.T) {
	_, handler := guarded(t, access.Options{Name: "sandbox/node3", Listen: "127.0.0.1:9181", Door: door{}})
	cookie := login(t, handler, readToken)
	if w := ask(t, handler, func(r *http.Request) { with(cookie, "/")(r); r.RemoteAddr = "198.51.100.7:9" }); w.Code != 401 {
		t.Errorf("from another address: %d", w.Code)
	}
	if w := ask(t, handler, func(r *http.Request) { with(cookie, "/")(r); r.RemoteAddr = "192.0.2.1:9" }); w.Code != 200 {
		t.Errorf("from another port: %d", w.Code)
	}
	_, beside := guarded(t, access.Options{Name: "sandbox/node4", Listen: "127.0.0.1:9181", Door: door{}})
	if login(t, beside, readToken).Name == cookie.Name {
		t.Error("two agents of a host have the same cookie")
	}
}

// What goes on for a token ends with it.
func TestStreamsEndWithTheirToken(t *testing.T) {
	good := tokens(t)
	synctest.Test(t, func(t *testing.T) {
		guard, _ := guarded(t, access.Options{Listen: "127.0.0.1:9181", Tokens: good, Door: door{}})
		ended := map[string]bool{}
		streaming := guard.Protect(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			ended[control.Peer(r.Context()).String()] = true
		}))
		ctx, stop := context.WithCancel(t.Context())
		for _, token := range []string{readToken, operateToken} {
			go ask(t, streaming, func(r *http.Request) {
				header("Authorization", "Bearer "+token)(r)
				*r = *r.WithContext(ctx)
			})
		}
		synctest.Wait()
		if err := guard.Reload(good[:1]); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !ended["token:ops"] || ended["token:ci"] {
			t.Errorf("ended: %v", ended)
		}
		stop()
		synctest.Wait()
	})
}

// A body that takes its time does not carry a token over the reload that takes it away, and what
// goes on for a session ends with it.
func TestNothingOutlivesItsLogin(t *testing.T) {
	good := tokens(t)
	synctest.Test(t, func(t *testing.T) {
		guard, _ := guarded(t, access.Options{Listen: "127.0.0.1:9181", Tokens: good, Door: door{}})
		handled := false
		handler := guard.Protect(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { handled = true; <-r.Context().Done() }))
		body, send := io.Pipe()
		answers := make(chan *httptest.ResponseRecorder, 1)
		go func() {
			answers <- ask(t, handler, func(r *http.Request) {
				header("Authorization", "Bearer "+operateToken)(r)
				header("Content-Type", "application/json")(r)
				r.Body = body
			})
		}()
		synctest.Wait()
		if err := guard.Reload(good[:1]); err != nil {
			t.Fatal(err)
		}
		_ = send.Close()
		if w := <-answers; w.Code != http.StatusUnauthorized || handled {
			t.Errorf("a slow body passes after the reload: %d", w.Code)
		}
		cookie, began := login(t, handler, readToken), time.Now()
		ask(t, handler, with(cookie, "/v1/events"))
		if lasted := time.Since(began); !handled || lasted != 12*time.Hour {
			t.Errorf("a stream of a session lasts %s", lasted)
		}
	})
}

// An answer to someone without a session keeps no place of the listener.
func TestFormsEndConnections(t *testing.T) {
	_, handler := guarded(t, access.Options{Listen: "127.0.0.1:9181", Door: door{}})
	cookie := login(t, handler, readToken)
	for _, path := range []string{"/", "/login", "/assets/page.css", "/act/sync"} {
		if w := ask(t, handler, func(r *http.Request) { r.Header.Del("Authorization"); r.URL.Path = path }); w.Header().Get("Connection") != "close" {
			t.Errorf("%s without a session keeps its connection", path)
		}
		if w := ask(t, handler, with(cookie, path)); path != "/login" && w.Header().Get("Connection") != "" {
			t.Errorf("%s with a session ends its connection", path)
		}
	}
}
