package harbor_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/harbor"
	"coin.internal/coin-agent/harbor/harbortest"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

// client makes a client for the double with its login.
func client(t *testing.T, h *harbortest.Harbor, change func(*harbor.Options)) *harbor.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(h.CA)
	options := harbor.Options{URL: h.URL, User: harbortest.User, Password: secrets.NewValue([]byte(harbortest.Password)), Roots: roots}
	if change != nil {
		change(&options)
	}
	c, err := harbor.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func image(t *testing.T, name string) harbor.Image {
	t.Helper()
	i, err := harbor.ParseImage(name)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// TestReport requests artifacts with all kinds of names.
func TestReport(t *testing.T) {
	h := harbortest.New(t)
	counts := map[string]int{"Critical": 2, "Low": 5}
	h.Put("coin/release:1", harbortest.Scan{Severity: "Critical", Counts: counts})
	h.Put("coin/release@"+digest, harbortest.Scan{Severity: "Low", Private: true})
	h.Put("coin/apps/core/web:1", harbortest.Scan{Severity: "None", Form: harbortest.Native})
	tests := map[string]struct {
		name     string
		severity harbor.Severity
		words    string
	}{
		"tag":           {"coin/release:1", harbor.Critical, "2 Critical, 5 Low"},
		"digest":        {"coin/release:1@" + digest, harbor.Low, ""},
		"nested, older": {"coin/apps/core/web:1", harbor.None, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			report, err := client(t, h, nil).Report(t.Context(), image(t, h.Host+"/"+test.name))
			if err != nil {
				t.Fatal(err)
			}
			if report.Severity != test.severity || report.Words() != test.words || report.Scanned.Year() != 2025 {
				t.Errorf("got %+v", report)
			}
		})
	}
	if got := strings.Join(h.Requests(), " "); !strings.Contains(got, "/repositories/apps%252Fcore%252Fweb/artifacts/1") {
		t.Errorf("asked for %s", got)
	}
}

// TestNoAnswer checks that each missing answer is an error with a hint and without the
// login.
func TestNoAnswer(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the redirect was followed with %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { harbortest.Refuse(w, code, "UNKNOWN", "internal") }
	}
	say := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
	}
	anonymous := func(o *harbor.Options) { o.User = "" }
	tests := map[string]struct {
		image  string
		change func(*harbor.Options)
		answer http.HandlerFunc
		want   string
		hint   string
		down   bool
	}{
		"never scanned": {image: "coin/new:1", want: "has not scanned", hint: "scan the image in Harbor"},
		"scan runs":     {image: "coin/running:1", want: `the scan's state is "Running"`, hint: "check the scan"},
		"scan failed":   {image: "coin/error:1", want: `the scan's state is "Error"`, hint: "start it again"},
		"half scanned":  {image: "coin/index:1", want: "50% of its platforms", hint: "start it again"},
		"odd severity":  {image: "coin/odd:1", want: `unknown severity "Terrible"`, hint: "check the scan"},
		"no severity":   {image: "coin/none:1", want: "has no severity", hint: "check the scan"},
		"no artifact":   {image: "coin/release:2", want: "does not have ", hint: "push the image"},
		"no project":    {image: "other/release:1", want: "as robot$agent (HTTP 403: FORBIDDEN forbidden)", hint: "the right to read artifacts"},
		"may not":       {image: "coin/hidden:1", want: "HTTP 403", hint: "the right to read artifacts"},
		"no login":      {image: "coin/private:1", change: anonymous, want: "refuses access without a login (HTTP 401: UNAUTHORIZED unauthorized)", hint: "set a valid login"},
		"wrong login": {
			image: "coin/private:1", change: func(o *harbor.Options) { o.Password = secrets.NewValue([]byte("wrong-canary")) },
			want: "refuses access as robot$agent", hint: "set a valid login",
		},
		"stranger":     {image: "coin/release:1", change: func(o *harbor.Options) { o.Roots = nil }, want: "certificate", hint: "ca_file", down: true},
		"nobody there": {image: "coin/release:1", change: func(o *harbor.Options) { o.URL = "https://127.0.0.1:1" }, want: "connection refused", hint: "check that this node can connect to it", down: true},
		"busy":         {image: "coin/release:1", answer: status(429), want: "is not available (HTTP 429", hint: "asks again", down: true},
		"broken":       {image: "coin/release:1", answer: status(500), want: "HTTP 500: UNKNOWN internal", hint: "check the state of Harbor", down: true},
		"teapot":       {image: "coin/release:1", answer: status(418), want: "does not answer like Harbor", hint: "check that the address is a Harbor"},
		"redirect": {
			image: "coin/release:1", answer: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) },
			want: "a redirect (HTTP 302), which the agent does not follow", hint: "set the address",
		},
		"page":    {image: "coin/release:1", answer: say("<html>"), want: "not an artifact", hint: "check that the address is a Harbor"},
		"a list":  {image: "coin/release:1", answer: say("[]"), want: "not an artifact", hint: "check that the address is a Harbor"},
		"another": {image: "coin/release:1", answer: say("{}"), want: "has not scanned", hint: "scan the image"},
		"endless": {image: "coin/release:1", answer: say(strings.Repeat("x", 5<<20)), want: "more than 4194304 bytes", hint: "check that the address is a Harbor"},
		"cut off": {image: "coin/release:1", answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{")
		}, want: "unexpected EOF", hint: "check that this node", down: true},
		"quotes": {image: "coin/release:1", answer: func(w http.ResponseWriter, r *http.Request) {
			_, password, _ := r.BasicAuth()
			harbortest.Refuse(w, 500, "UNKNOWN", "no user "+password)
		}, want: "[an answer that quotes the login]", hint: "asks again", down: true},
	}
	h := harbortest.New(t)
	h.Put("coin/release:1", harbortest.Scan{Severity: "Low"})
	h.Put("coin/new:1", harbortest.Scan{Unasked: true})
	h.Put("coin/running:1", harbortest.Scan{Status: "Running"})
	h.Put("coin/error:1", harbortest.Scan{Status: "Error"})
	h.Put("coin/index:1", harbortest.Scan{Severity: "None", Share: 50})
	h.Put("coin/odd:1", harbortest.Scan{Severity: "Terrible"})
	h.Put("coin/none:1", harbortest.Scan{})
	h.Put("coin/hidden:1", harbortest.Scan{Hidden: true, Private: true})
	h.Put("coin/private:1", harbortest.Scan{Private: true, Severity: "None"})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h.Answer(test.answer)
			_, err := client(t, h, test.change).Report(t.Context(), image(t, h.Host+"/"+test.image))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %s", err, test.want)
			}
			if hint := fault.Hint(err); !strings.Contains(hint, test.hint) {
				t.Errorf("hint %q, want %q", hint, test.hint)
			}
			if errors.Is(err, harbor.ErrUnreachable) != test.down {
				t.Errorf("unreachable: %t, want %t", !test.down, test.down)
			}
			if all := fmt.Sprintf("%v %+v %#v %s", err, err, err, fault.Hint(err)); strings.Contains(all, "canary") {
				t.Errorf("the error contains the login: %s", all)
			}
		})
	}
}

// TestReportEnds uses a Harbor that does not answer until the caller's context ends.
func TestReportEnds(t *testing.T) {
	h := harbortest.New(t)
	gone := make(chan struct{})
	defer close(gone)
	h.Answer(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-gone:
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := client(t, h, nil).Report(ctx, image(t, h.Host+"/coin/release:1"))
	if !errors.Is(err, harbor.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

func TestParseImage(t *testing.T) {
	tests := map[string]harbor.Image{
		"harbor.example.com/coin/core:1":             {Host: "harbor.example.com", Path: "coin/core", Reference: "1"},
		"harbor.example.com:8443/coin/a/b@" + digest: {Host: "harbor.example.com:8443", Path: "coin/a/b", Reference: digest},
		"harbor.example.com/coin/core:1@" + digest:   {Host: "harbor.example.com", Path: "coin/core", Reference: digest},
		"harbor.example.com/coin/core":               {Host: "harbor.example.com", Path: "coin/core", Reference: "latest"},
		"postgres:17":                                {Host: "docker.io", Path: "library/postgres", Reference: "17"},
	}
	for name, want := range tests {
		if diff := cmp.Diff(want, image(t, name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for _, name := range []string{"harbor.example.com/core:1", "UPPER:1", ""} {
		if _, err := harbor.ParseImage(name); err == nil || fault.Hint(err) == "" {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestReaches(t *testing.T) {
	order := []harbor.Severity{harbor.None, harbor.Unknown, harbor.Negligible, harbor.Low, harbor.Medium, harbor.High, harbor.Critical}
	for i, one := range order {
		for j, level := range order {
			if got := one.Reaches(level); got != (i >= j) {
				t.Errorf("%s reaches %s: %t", one, level, got)
			}
		}
	}
}

// TestNew refuses addresses without TLS or with a login.
func TestNew(t *testing.T) {
	for _, address := range []string{"http://harbor.example.com", "harbor.example.com", "https://u:canary@harbor.example.com", ""} {
		if _, err := harbor.New(harbor.Options{URL: address}); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", address, err)
		}
	}
}
