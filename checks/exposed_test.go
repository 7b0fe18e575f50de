package checks_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/internal/postgrestest"
)

// anywhere is an address of this machine that no rule takes for this machine.
const anywhere = "0.0.0.0"

// TestPasswordIsNotExposed asks a server that wants the password without TLS: it gets one
// only on this machine.
func TestPasswordIsNotExposed(t *testing.T) {
	server := postgrestest.NewImpostor(t)
	for _, test := range []struct {
		host     string
		mode     checks.SSLMode
		password string
		exposed  bool
		want     string
	}{
		{anywhere, checks.SSLDisable, "canary", false, "not sent: a credential may go without TLS to this machine only"},
		{anywhere, checks.SSLPrefer, "canary", false, "server refused TLS connection"},
		{anywhere, checks.SSLRequire, "canary", false, "server refused TLS connection"},
		{anywhere, checks.SSLVerifyFull, "canary", false, "server refused TLS connection"},
		{anywhere, checks.SSLPrefer, "", false, "got no connection"},
		{"127.0.0.1", checks.SSLDisable, "canary", true, "got no connection"},
		{"127.0.0.1", checks.SSLPrefer, "canary", true, "got no connection"},
		{"127.0.0.1", checks.SSLRequire, "canary", false, "server refused TLS connection"},
	} {
		database := checks.Database{Host: test.host, Port: server.Port, Name: "coin", User: "coin", Password: value(test.password), SSLMode: test.mode}
		_, _, err := database.First(t.Context(), "SELECT 1")
		got := strings.Join(server.Took(), "")
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(got, "canary") != test.exposed {
			t.Errorf("%s, sslmode %s, password %q: the server took %q, the error is %v", test.host, test.mode, test.password, got, err)
		}
	}
}

// TestPasswordByTLS logs in to a real PostgreSQL that is not this machine, by sslmode
// prefer: with TLS.
func TestPasswordByTLS(t *testing.T) {
	server := postgrestest.New(t)
	database := checks.Database{Host: server.Host, Port: server.Port, Name: postgrestest.Name, User: postgrestest.User, Password: value(postgrestest.Password)}
	database.SSLMode = checks.SSLPrefer
	for _, host := range []string{anywhere, server.Host} {
		database.Host = host
		if got, _, err := database.First(t.Context(), usesTLS); err != nil || got != "t" {
			t.Errorf("%s: TLS is %q, %v", host, got, err)
		}
	}
}

// TestTokenIsNotExposed sends no token and no secret without TLS to another machine, and
// none to where a server redirects.
func TestTokenIsNotExposed(t *testing.T) {
	var seen sync.Map
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.URL.Path, r.Header.Get("Authorization")+r.Header.Get("X-Key"))
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "http://"+strings.Replace(r.Host, "127.0.0.1", "localhost", 1)+"/elsewhere", http.StatusTemporaryRedirect)
		}
	})
	listener, err := net.Listen("tcp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}} //nolint:gosec // in a test
	server.Start()
	t.Cleanup(server.Close)
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	for name, test := range map[string]struct {
		check checks.HTTP
		sent  bool
		want  string // of the error
	}{
		"/token":  {checks.HTTP{URL: "http://0.0.0.0:" + port + "/token", Token: value("canary")}, false, "not sent: a credential may go without TLS"},
		"/secret": {checks.HTTP{URL: "http://0.0.0.0:" + port + "/secret", Headers: map[string]string{"X-Key": "{{secret.key}}"}}, false, "not sent: a credential may go without TLS"},
		"/plain":  {checks.HTTP{URL: "http://0.0.0.0:" + port + "/plain"}, true, ""},
		"/here":   {checks.HTTP{URL: "http://127.0.0.1:" + port + "/here", Token: value("canary")}, true, ""},
		"/moved":  {checks.HTTP{URL: "http://127.0.0.1:" + port + "/moved", Token: value("canary")}, true, "got status 307"},
	} {
		test.check.Method, test.check.Status = http.MethodGet, []int{200}
		result := checks.Run(t.Context(), []checks.Check{{Name: "c", Timeout: time.Minute, HTTP: &test.check}},
			checks.Options{Secrets: map[string]checks.Secret{"key": value("canary")}})[0]
		if _, sent := seen.Load(name); sent != test.sent || result.OK != (test.want == "") || !strings.Contains(result.Error, test.want) {
			t.Errorf("%s: sent %t, got %q", name, sent, result.Error)
		}
	}
	if got, followed := seen.Load("/elsewhere"); followed {
		t.Errorf("a redirect was followed with %q", got)
	}
}
