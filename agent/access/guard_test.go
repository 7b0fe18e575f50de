package access_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/access"
	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/internal/fault"
)

const (
	readToken    = "0123456789abcdef0123456789abcdef-read"
	operateToken = "0123456789abcdef0123456789abcdef-operate"
)

// write writes a file of a mode, and gives its path.
func write(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// tokens names files with both tokens.
func tokens(t *testing.T) []access.Token {
	t.Helper()
	return []access.Token{
		{Name: "ci", File: write(t, readToken+"\n", 0o600), Scope: control.ScopeRead},
		{Name: "ops", File: write(t, operateToken, 0o400), Scope: control.ScopeOperate},
	}
}

// guarded gives a guard whose handler says who asks, and what.
func guarded(t *testing.T, options access.Options) (*access.Guard, http.Handler) {
	t.Helper()
	options.Log = slog.New(slog.DiscardHandler)
	if options.Tokens == nil {
		options.Tokens = tokens(t)
	}
	guard, err := access.New(options)
	if err != nil {
		t.Fatal(err)
	}
	return guard, guard.Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", control.Peer(r.Context()), body)
	}))
}

// ask sends a request, changed as a test says.
func ask(t *testing.T, handler http.Handler, change func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:9181/v1/status", nil)
	r.Header.Set("Authorization", "Bearer "+readToken)
	change(r)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func host(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }

func body(text, kind string) func(*http.Request) {
	return func(r *http.Request) {
		r.Method, r.Body = http.MethodPost, io.NopCloser(strings.NewReader(text))
		r.Header.Set("Content-Type", kind)
	}
}

func TestProtect(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*http.Request)
		code   int
		says   string
	}{
		"read":             {func(*http.Request) {}, 200, "token:ci"},
		"operate":          {header("Authorization", "bearer  "+operateToken), 200, "token:ops"},
		"no token":         {func(r *http.Request) { r.Header.Del("Authorization") }, 401, "a valid token is needed"},
		"wrong token":      {header("Authorization", "Bearer "+readToken[:len(readToken)-1]), 401, "a valid token"},
		"longer token":     {header("Authorization", "Bearer "+readToken+"x"), 401, "a valid token"},
		"empty token":      {header("Authorization", "Bearer "), 401, "a valid token"},
		"basic":            {header("Authorization", "Basic "+readToken), 401, "a valid token"},
		"in the query":     {func(r *http.Request) { r.Header.Del("Authorization"); r.URL.RawQuery = "token=" + readToken }, 401, "a valid token"},
		"localhost":        {host("localhost:9181"), 200, ""},
		"IPv6":             {host("[::1]:9181"), 200, ""},
		"another host":     {host("evil.example:9181"), 421, "does not answer requests to that host"},
		"no host":          {host(""), 421, "does not answer"},
		"like localhost":   {host("localhost.evil.example"), 421, "does not answer"},
		"own origin":       {header("Origin", "http://127.0.0.1:9181"), 200, ""},
		"other origin":     {header("Origin", "http://evil.example"), 403, "other sites"},
		"other port":       {header("Origin", "http://127.0.0.1:80"), 403, "other sites"},
		"other scheme":     {header("Origin", "https://127.0.0.1:9181"), 403, "other sites"},
		"null origin":      {header("Origin", "null"), 403, "other sites"},
		"cross site":       {header("Sec-Fetch-Site", "cross-site"), 403, "other sites"},
		"typed address":    {header("Sec-Fetch-Site", "none"), 200, ""},
		"JSON":             {body(`{"reason":"x"}`, "application/json; charset=utf-8"), 200, `{"reason":"x"}`},
		"a form":           {body("reason=x", "application/x-www-form-urlencoded"), 415, "not JSON"},
		"a plain text":     {body(`{"reason":"x"}`, "text/plain"), 415, "not JSON"},
		"a large body":     {body(`"`+strings.Repeat("x", 16<<10)+`"`, "application/json"), 413, "larger than 16 KiB"},
		"a body, no token": {func(r *http.Request) { body("{}", "application/json")(r); r.Header.Del("Authorization") }, 401, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, handler := guarded(t, access.Options{Listen: "127.0.0.1:9181"})
			w := ask(t, handler, test.change)
			if w.Code != test.code || !strings.Contains(w.Body.String(), test.says) {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			for _, name := range []string{"Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options", "Cache-Control", "Referrer-Policy"} {
				if w.Header().Get(name) == "" {
					t.Errorf("%s is missing", name)
				}
			}
			if strings.Contains(w.Body.String(), readToken) {
				t.Error("the answer has the token")
			}
		})
	}
}

// Failed logins are counted by address, and end to count after a minute. Requests without a
// token do not count, and those with a valid one pass.
func TestFailedLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, handler := guarded(t, access.Options{Listen: "127.0.0.1:9181"})
		from := func(address, token string) int {
			return ask(t, handler, func(r *http.Request) {
				r.RemoteAddr = address
				r.Header.Set("Authorization", "Bearer "+token)
			}).Code
		}
		for range 20 {
			if code := from("192.0.2.1:1", ""); code != 401 {
				t.Fatalf("without a token: %d", code)
			}
		}
		for i := range 10 {
			if code := from(fmt.Sprintf("192.0.2.1:%d", i+1), "wrong"); code != 401 {
				t.Fatalf("try %d: %d", i, code)
			}
		}
		for _, test := range []struct {
			address, token string
			want           int
		}{
			{"192.0.2.1:99", "wrong", 429},
			{"[::ffff:192.0.2.1]:99", "wrong", 429},
			{"192.0.2.1:99", readToken, 200},
			{"192.0.2.2:99", "wrong", 401},
			{"[2001:db8::1]:99", "wrong", 401},
		} {
			if got := from(test.address, test.token); got != test.want {
				t.Errorf("%s: %d, want %d", test.address, got, test.want)
			}
		}
		time.Sleep(time.Minute)
		if code := from("192.0.2.1:99", "wrong"); code != 401 {
			t.Errorf("after a minute: %d", code)
		}
		for i := range 10_100 { // more than are remembered
			from(fmt.Sprintf("10.%d.%d.1:1", i/256, i%256), "wrong")
		}
		if valid, wrong := from("192.0.2.3:99", readToken), from("192.0.2.3:99", "wrong"); valid != 200 || wrong != 401 {
			t.Errorf("after failures of very many: %d, %d", valid, wrong)
		}
	})
}

// accepted asks with each token, and gives the codes.
func accepted(t *testing.T, handler http.Handler) (read, operate int) {
	t.Helper()
	return ask(t, handler, func(*http.Request) {}).Code, ask(t, handler, header("Authorization", "Bearer "+operateToken)).Code
}

// Token files are refused unless they are safe. A refused one keeps no other from being taken.
func TestTokenFiles(t *testing.T) {
	good := tokens(t)
	guard, handler := guarded(t, access.Options{Listen: "127.0.0.1:9181", Tokens: good})
	for name, test := range map[string]struct {
		file, says string
	}{
		"others read it": {write(t, readToken, 0o640), "other users can access the API token new (mode 0640)"},
		"short":          {write(t, "secret", 0o600), "under 32 characters"},
		"empty":          {write(t, "\n", 0o600), "is empty"},
		"absent":         {"/nowhere/token", "no such file"},
		"two lines":      {write(t, readToken+"\n"+readToken, 0o600), "printable ASCII"},
		"the same":       {write(t, readToken, 0o600), "the API tokens ci and new are the same"},
	} {
		err := guard.Reload(append(slices.Clip(good), access.Token{Name: "new", File: test.file, Scope: control.ScopeRead}))
		if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), readToken) || fault.Hint(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
		if read, operate := accepted(t, handler); read != 200 || operate != 200 || len(guard.Tokens()) != 2 {
			t.Errorf("%s: the other tokens get %d and %d", name, read, operate)
		}
		if w := ask(t, handler, header("Authorization", "Bearer secret")); w.Code != 401 {
			t.Errorf("%s: a short token is accepted: %d", name, w.Code)
		}
	}
	if err := guard.Reload(good[1:]); err != nil {
		t.Fatal(err)
	}
	if read, operate := accepted(t, handler); read != 401 || operate != 200 {
		t.Errorf("after ci was taken off the list: %d, %d", read, operate)
	}
}

// A token whose file is removed is refused from the next reload on, whatever else is wrong.
func TestTokensAreTakenAway(t *testing.T) {
	good := tokens(t)
	ci, ops := good[0], good[1]
	remove := func(file string) func() {
		return func() {
			if err := os.Rename(file, file+".away"); err != nil {
				t.Fatal(err)
			}
		}
	}
	widened := ops
	widened.Name = "new"
	for name, test := range map[string]struct {
		before        func()
		list          []access.Token // nil: the settings cannot be read
		read, operate int
	}{
		"settings that cannot be read":     {func() {}, nil, 200, 200},
		"its file, and they cannot":        {remove(ops.File), nil, 200, 401},
		"off the list of invalid settings": {func() {}, []access.Token{ci}, 200, 401},
		"another scope in invalid ones":    {func() {}, []access.Token{{Name: "ci", File: ci.File, Scope: control.ScopeOperate}, ops}, 401, 200},
		"invalid settings add none":        {func() {}, []access.Token{ci, widened}, 200, 401},
	} {
		t.Run(name, func(t *testing.T) {
			guard, handler := guarded(t, access.Options{Listen: "127.0.0.1:9181", Tokens: good})
			test.before()
			_ = guard.Shrink(test.list)
			if read, operate := accepted(t, handler); read != test.read || operate != test.operate {
				t.Errorf("the tokens get %d and %d", read, operate)
			}
			if err := os.Rename(ops.File+".away", ops.File); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		})
	}
}

// certificate makes a certificate for names, and gives its files.
func certificate(t *testing.T, names ...string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, data []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}))
	}
	return write(t, block("CERTIFICATE", der), 0o644), write(t, block("PRIVATE KEY", private), 0o600)
}

// certified makes a certificate for names, and gives it and a pool that trusts it.
func certified(t *testing.T, names ...string) (cert *access.Certificate, pool *x509.CertPool) {
	t.Helper()
	certFile, keyFile := certificate(t, names...)
	cert, err := access.ReadCertificate(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(keyFile, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := access.ReadCertificate(certFile, keyFile); err == nil || !strings.Contains(err.Error(), "other users can access") {
		t.Errorf("a key that others read is accepted: %v", err)
	}
	if err := os.Chmod(keyFile, 0o600); err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	text, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	pool.AppendCertsFromPEM(text)
	return cert, pool
}

// The API is served over TLS, to the names of its certificate.
func TestTLS(t *testing.T) {
	cert, pool := certified(t, "node3.example.com")
	_, handler := guarded(t, access.Options{Listen: "127.0.0.1:0", Cert: cert})
	listener, err := access.Listen("127.0.0.1:0", cert)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	at := listener.Addr().String()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	for name, want := range map[string]int{"node3.example.com": 200, "localhost": 200, "127.0.0.1": 200, "node4.example.com": 421} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+at+"/v1/status", bytes.NewReader(nil))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = name
		r.Header.Set("Authorization", "Bearer "+readToken)
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want || response.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("%s: %d", name, response.StatusCode)
		}
	}
	if response, err := http.Get("http://" + at + "/v1/status"); err == nil {
		_ = response.Body.Close()
		if response.StatusCode == 200 {
			t.Error("it answers without TLS")
		}
	}
	old := &tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	if conn, err := tls.Dial("tcp", at, old); err == nil {
		_ = conn.Close()
		t.Error("it speaks TLS 1.1")
	}
}

// Without TLS the API is served on loopback only.
func TestOpenAddresses(t *testing.T) {
	for address, want := range map[string]bool{"127.0.0.1:9181": true, "[::1]:9181": true, "localhost:9181": true, "0.0.0.0:9181": false, ":9181": false, "10.0.0.3:9181": false, "9181": false} {
		if err := access.RefuseOpen(address, false); (err == nil) != want {
			t.Errorf("%s without TLS: %v", address, err)
		}
		if err := access.RefuseOpen(address, true); (err == nil) != (address != "9181") {
			t.Errorf("%s with TLS: %v", address, err)
		}
	}
}
