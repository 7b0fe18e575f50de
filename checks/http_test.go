package checks_test

import (
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"coin.internal/coin-agent/checks"
)

const (
	token    = "canary-token-0c92e1"
	password = `canary "quoted" password`
)

// shop is a server like the application: it has logins and transactions, and paths with
// wrong answers.
func shop() http.Handler {
	mux := http.NewServeMux()
	say := func(path string, status int, text string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Version", "7")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		})
	}
	say("GET /health", 200, `{"status":"ok","up":true,"n":12345678901234567890,"items":[{"id":"a"}],"none":null,"empty":""}`)
	say("GET /down", 503, "<html>\n database\tgone, asked with password=hunter2 "+strings.Repeat("x", 500))
	say("GET /text", 200, "no JSON here")
	say("GET /huge", 200, `{"a":"`+strings.Repeat("x", 2<<20)+`"}`)
	mux.HandleFunc("GET /moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/health", http.StatusFound) })
	mux.HandleFunc("GET /hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("GET /cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "short")
	})
	mux.HandleFunc("GET /host", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host+r.UserAgent()) })
	mux.HandleFunc("GET /guarded", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
		}
		w.Header().Set("X-Session", "opened-for-you")
		_, _ = fmt.Fprintf(w, `{"you sent":%q,"echo":%q}`, r.Header.Get("Authorization"), r.Header.Get("Authorization"))
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if string(body) != `{"password":"canary \"quoted\" password"}` || r.Header.Get("Content-Type") != "application/json" {
			w.WriteHeader(http.StatusForbidden)
		}
		_, _ = fmt.Fprintf(w, `{"token":%q,"sent":%q}`, token, body)
	})
	mux.HandleFunc("GET /transactions/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token || r.PathValue("id") != "a b/?1" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, `{"status":"pending"}`)
	})
	mux.HandleFunc("POST /transactions", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = io.WriteString(w, `{"id":"a b/?1"}`)
	})
	return mux
}

// ask runs one HTTP check once.
func ask(t *testing.T, check checks.HTTP, timeout time.Duration) checks.Result {
	t.Helper()
	if check.Method == "" {
		check.Method = http.MethodGet
	}
	if check.Status == nil {
		check.Status = []int{200}
	}
	return checks.Run(t.Context(), []checks.Check{{Name: "web", Timeout: timeout, HTTP: &check}}, checks.Options{
		Facts: map[string]string{"node": "node3", "release": "7"}, Secrets: map[string]checks.Secret{"token": value(token), "pass": value(password + "\n")},
	})[0]
}

func judge(t *testing.T, result checks.Result, want string) {
	t.Helper()
	if result.OK != (want == "") || !strings.Contains(result.Error, want) || strings.Contains(fmt.Sprintf("%+v", result), "canary") || len(result.Error) > 400 {
		t.Errorf("got %v %q\nwant %q", result.OK, result.Error, want)
	}
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(shop())
	t.Cleanup(server.Close)
	for name, test := range map[string]struct {
		path  string
		check checks.HTTP
		want  string
	}{
		"ok":            {"/health", checks.HTTP{}, ""},
		"json":          {"/health", checks.HTTP{JSONPath: "status", JSONEquals: []string{"up", "ok"}}, ""},
		"json bool":     {"/health", checks.HTTP{JSONPath: "$.up", JSONEquals: []string{"true"}}, ""},
		"json number":   {"/health", checks.HTTP{JSONPath: ".n", JSONEquals: []string{"12345678901234567890"}}, ""},
		"json deep":     {"/health", checks.HTTP{JSONPath: "items[0].id"}, ""},
		"json other":    {"/health", checks.HTTP{JSONPath: "status", JSONEquals: []string{"{{node}}"}}, `got status = "ok", want "node3"`},
		"json none":     {"/health", checks.HTTP{JSONPath: "none"}, "got nothing in none, want a value"},
		"json empty":    {"/health", checks.HTTP{JSONPath: "empty"}, "got nothing in empty, want a value"},
		"json missing":  {"/health", checks.HTTP{JSONPath: "a.b"}, `got JSON without a.b: no "a"`},
		"json beyond":   {"/health", checks.HTTP{JSONPath: "items[1]"}, "a list of 1 has no [1]"},
		"json before":   {"/health", checks.HTTP{JSONPath: "items.-1.id"}, "a list of 1 has no [-1]"},
		"json below":    {"/health", checks.HTTP{JSONPath: "up.x"}, "its parent is a single value"},
		"json list":     {"/health", checks.HTTP{JSONPath: "items"}, "got a list in items, want a single value"},
		"no json":       {"/text", checks.HTTP{JSONPath: "a"}, `got no JSON ("no JSON here")`},
		"too much":      {"/huge", checks.HTTP{JSONPath: "a"}, "got more than 1048576 bytes"},
		"status":        {"/down", checks.HTTP{Status: []int{200, 401}}, `got status 503 ("<html> database gone, asked with`},
		"one of status": {"/guarded", checks.HTTP{Status: []int{200, 401}}, ""},
		"no redirect":   {"/moved", checks.HTTP{}, "got status 302"},
		"a redirect":    {"/moved", checks.HTTP{Status: []int{302}}, ""},
		"hangs":         {"/hang", checks.HTTP{}, "got no answer within 500ms, want status 200"},
		"breaks off":    {"/cut", checks.HTTP{}, "got status 200 and an incomplete answer: unexpected EOF"},
		"header":        {"/health", checks.HTTP{Header: map[string]string{"x-version": "{{release}}"}}, ""},
		"other header":  {"/health", checks.HTTP{Header: map[string]string{"X-Version": "8"}}, `got header X-Version: "7", want "8"`},
		"no header":     {"/text", checks.HTTP{Header: map[string]string{"X-Session": "8"}}, `got no header X-Session, want "8"`},
		"body":          {"/text", checks.HTTP{BodyContains: "JSON"}, ""},
		"other body":    {"/text", checks.HTTP{BodyContains: "{{node}}"}, `got a body of 12 bytes without "node3" ("no JSON here")`},
		"host":          {"/host", checks.HTTP{Headers: map[string]string{"Host": "{{node}}.example"}, BodyContains: "node3.examplecoin-agent"}, ""},
		"token":         {"/guarded", checks.HTTP{Token: value(token + "\n")}, ""},
		"bad token":     {"/guarded", checks.HTTP{Token: value("canary-old")}, "got status 401, want 200"},
		"token echoed":  {"/guarded", checks.HTTP{Token: value(token), JSONPath: "echo", JSONEquals: []string{"x"}}, `got echo = "Bearer ***", want "x"`},
		"header unseen": {"/guarded", checks.HTTP{Token: value(token), Header: map[string]string{"X-Session": "x"}}, `got a different header X-Session (not shown, because the request or the answer contains a secret), want "x"`},
		"secret header": {"/guarded", checks.HTTP{Headers: map[string]string{"Authorization": "Bearer {{secret.token}}"}}, ""},
		"no secret":     {"/guarded", checks.HTTP{Headers: map[string]string{"Authorization": "{{secret.none}}"}}, `the secret "none" does not exist`},
		"secret broken": {"/guarded", checks.HTTP{Token: value("canary\nx")}, "net/http: invalid header field value"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.check.URL = server.URL + test.path
			timeout := time.Minute
			if test.path == "/hang" {
				timeout = 500 * time.Millisecond
			}
			judge(t, ask(t, test.check, timeout), test.want)
		})
	}
}

// TestHTTPUnanswered uses servers that do not answer, or do not answer in HTTP.
func TestHTTPUnanswered(t *testing.T) {
	t.Parallel()
	judge(t, ask(t, checks.HTTP{URL: "http://127.0.0.1:1/"}, time.Minute), "got no connection: connect: connection refused, want status 200")
	judge(t, ask(t, checks.HTTP{URL: "http://nowhere.invalid/"}, time.Second), "want ")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(connection, "SSH-2.0-OpenSSH_9.2\r\n")
			_ = connection.Close()
		}
	}()
	judge(t, ask(t, checks.HTTP{URL: "http://" + listener.Addr().String()}, time.Minute), "got no answer: ")
}

func TestHTTPS(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(shop())
	t.Cleanup(server.Close)
	server.Config.ErrorLog = nil
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, test := range map[string]struct {
		tls  checks.TLS
		want string
	}{
		"unknown":    {checks.TLS{}, "certificate signed by unknown authority, want status 200"},
		"known":      {checks.TLS{CA: ca}, ""},
		"skipped":    {checks.TLS{InsecureSkipVerify: true}, ""},
		"name":       {checks.TLS{CA: ca, ServerName: "example.com"}, ""},
		"other name": {checks.TLS{CA: ca, ServerName: "coin.example"}, "not coin.example"},
		"no PEM":     {checks.TLS{CA: []byte("canary")}, "the CA has no PEM certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			judge(t, ask(t, checks.HTTP{URL: server.URL + "/health", TLS: test.tls}, time.Minute), test.want)
		})
	}
}

// TestSaved logs in and uses the token in later checks, as smoke tests do.
func TestSaved(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(shop())
	t.Cleanup(server.Close)
	bearer := map[string]string{"Authorization": "Bearer {{token}}"}
	list := func(secret string) []checks.Check {
		all := []checks.Check{
			{Name: "login", HTTP: &checks.HTTP{
				URL: server.URL + "/login", Method: "POST", Headers: map[string]string{"Content-Type": "application/json"},
				Body: `{"password":"{{secret.` + secret + `}}"}`, JSONPath: "token", SaveAs: "token",
			}},
			{Name: "create", HTTP: &checks.HTTP{URL: server.URL + "/transactions", Method: "POST", Headers: bearer, JSONPath: "id", SaveAs: "id"}},
			{Name: "read", HTTP: &checks.HTTP{URL: server.URL + "/transactions/{{id}}", Method: "GET", Headers: bearer, JSONPath: "status", JSONEquals: []string{"pending"}}},
		}
		for i := range all {
			all[i].HTTP.Status, all[i].Timeout = []int{200}, time.Minute
		}
		return all
	}
	options := checks.Options{Secrets: map[string]checks.Secret{"pass": value(password), "other": value("canary-other")}}
	for _, result := range checks.Run(t.Context(), list("pass"), options) {
		judge(t, result, "")
	}
	results := checks.Run(t.Context(), list("other"), options)
	judge(t, results[0], "got status 403, want 200")
	judge(t, results[1], "not run: it needs {{token}}, which the check login did not save")
	judge(t, results[2], "not run: it needs {{")
	if want := server.URL + "/transactions/{{id}}"; results[2].Target != want || results[2].Attempts != 0 {
		t.Errorf("got %+v", results[2])
	}
}

// TestRetries uses a server that is healthy at the third attempt.
func TestRetries(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	t.Cleanup(server.Close)
	run := func(retries int) checks.Result {
		asked.Store(0)
		return checks.Run(t.Context(), []checks.Check{{
			Name: "web", Retries: retries, Interval: time.Millisecond, Timeout: time.Minute,
			HTTP: &checks.HTTP{URL: server.URL, Method: "GET", Status: []int{200}},
		}}, checks.Options{})[0]
	}
	if result := run(2); !result.OK || result.Attempts != 3 || result.Failure() != "" || result.Seconds <= 0 {
		t.Errorf("got %+v", result)
	}
	want := "check web (GET " + server.URL + "): got status 502, want 200 (2 attempts)"
	if result := run(1); result.Failure() != want {
		t.Errorf("got %q, want %q", result.Failure(), want)
	}
}
