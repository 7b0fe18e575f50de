package gitlab_test

import (
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/internal/fault"
)

const (
	commit = "1111111111111111111111111111111111111111"
	name   = "coin-agent/sandbox/node3"
)

func options(d *gitlabtest.Instance) gitlab.Options {
	return gitlab.Options{URL: d.URL, Project: "coin/coin-gitops", TokenFile: d.TokenFile}
}

func newClient(t *testing.T, o gitlab.Options) *gitlab.Client {
	t.Helper()
	client, err := gitlab.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdle)
	return client
}

func report(state gitlab.State, description string) gitlab.Report {
	return gitlab.Report{Commit: commit, Ref: "master", Name: name, State: state, Description: description}
}

func TestPostMakesOneEntry(t *testing.T) {
	d := gitlabtest.New(t)
	d.AddCommit(commit, "master")
	for _, project := range []string{"coin/coin-gitops", "7"} {
		o := options(d)
		o.Project = project
		client := newClient(t, o)
		var pipeline int64
		for _, state := range []gitlab.State{gitlab.Pending, gitlab.Running, gitlab.Success} {
			r := report(state, "it is "+string(state))
			r.Name = "by " + project
			got, err := client.Post(t.Context(), r, pipeline)
			if err != nil {
				t.Fatal(err)
			}
			pipeline = got.PipelineID
		}
	}
	timeline := d.Statuses(commit)
	if len(timeline.Entries) != 2 || len(timeline.Posts) != 6 {
		t.Fatalf("%d entries of %d posts, want 2 of 6", len(timeline.Entries), len(timeline.Posts))
	}
	entry := timeline.Entries[0]
	if entry.Status != "success" || *entry.Description != "it is success" {
		t.Errorf("entry: %+v", entry)
	}
}

func TestRefusalsAreClassified(t *testing.T) {
	type want struct {
		kind gitlab.Kind
		wait time.Duration
		text string
		hint string
	}
	tests := map[string]struct {
		fault gitlabtest.Fault
		want  want
	}{
		"bad token":    {gitlabtest.Fault{Status: 401}, want{gitlab.KindAuth, 0, "GitLab answers 401 Unauthorized", "scope api"}},
		"forbidden":    {gitlabtest.Fault{Status: 403}, want{gitlab.KindAuth, 0, "GitLab answers 403 Forbidden", "Maintainer"}},
		"no project":   {gitlabtest.Fault{Status: 404, Body: `{"message":"404 Project Not Found"}`}, want{gitlab.KindAuth, 0, "404 Project Not Found", "member"}},
		"redirect":     {gitlabtest.Fault{Status: 302, Location: "https://elsewhere/sign_in"}, want{gitlab.KindAuth, 0, "redirects to https://elsewhere/sign_in", "address"}},
		"no commit":    {gitlabtest.Fault{Status: 404, Body: `{"message":"404 Commit Not Found"}`}, want{gitlab.KindPermanent, 0, "404 Commit Not Found", "follows"}},
		"bad request":  {gitlabtest.Fault{Status: 400, Body: `{"message":{"name":["has already been taken"]}}`}, want{gitlab.KindPermanent, 0, `{"name":["has already been taken"]}`, ""}},
		"too many":     {gitlabtest.Fault{Status: 422}, want{gitlab.KindPermanent, 0, "422", "jobs"}},
		"conflict":     {gitlabtest.Fault{Status: 409}, want{gitlab.KindRetry, 0, "Another update to this commit status is in progress", ""}},
		"rate limit":   {gitlabtest.Fault{Status: 429, RetryAfter: 30 * time.Second}, want{gitlab.KindRetry, 30 * time.Second, "429 Too Many Requests: Retry later", ""}},
		"absurd wait":  {gitlabtest.Fault{Status: 429, RetryAfter: 9999 * time.Hour}, want{gitlab.KindRetry, time.Hour, "429", ""}},
		"broken":       {gitlabtest.Fault{Status: 500}, want{gitlab.KindRetry, 0, "500", ""}},
		"upkeep":       {gitlabtest.Fault{Status: 503, RetryAfter: time.Minute}, want{gitlab.KindRetry, time.Minute, "503 Service Unavailable", ""}},
		"hang":         {gitlabtest.Fault{Hang: true}, want{gitlab.KindRetry, 0, "no answer within 200ms", "can connect"}},
		"cut":          {gitlabtest.Fault{Cut: true}, want{gitlab.KindRetry, 0, "EOF", "can connect"}},
		"other answer": {gitlabtest.Fault{Status: 200, Body: "<html>sign in</html>"}, want{gitlab.KindRetry, 0, "is not valid", "proxy"}},
		"empty answer": {gitlabtest.Fault{Status: 200, Body: "{}"}, want{gitlab.KindRetry, 0, "not a commit status", "proxy"}},
	}
	for title, test := range tests {
		t.Run(title, func(t *testing.T) {
			d := gitlabtest.New(t)
			d.AddCommit(commit, "master")
			o := options(d)
			if test.fault.Hang {
				o.HTTPTimeout = 200 * time.Millisecond
			}
			client := newClient(t, o)
			d.Inject(test.fault)
			_, err := client.Post(t.Context(), report(gitlab.Success, ""), 0)
			var refused *gitlab.Error
			if !errors.As(err, &refused) {
				t.Fatalf("error %v is not an *Error", err)
			}
			if refused.Kind != test.want.kind || refused.RetryAfter != test.want.wait {
				t.Errorf("kind %s after %s, want %+v", refused.Kind, refused.RetryAfter, test.want)
			}
			if !strings.Contains(err.Error(), test.want.text) || !strings.Contains(fault.Hint(err), test.want.hint) {
				t.Errorf("error %q, hint %q", err, fault.Hint(err))
			}
			if n := len(d.Requests()); n != 1 {
				t.Errorf("%d requests, want one attempt", n)
			}
		})
	}
}

func TestDescriptionFits(t *testing.T) {
	d := gitlabtest.New(t)
	d.AddCommit(commit, "master")
	client := newClient(t, options(d))
	tests := []struct{ description, want string }{
		{"  one\n\ttwo \x00 three ", `one two \x00 three`},
		{strings.Repeat("ж", 255), strings.Repeat("ж", 255)},
		{strings.Repeat("ж", 256), strings.Repeat("ж", 254) + "…"},
		{strings.Repeat("x", 253) + " yyyy", strings.Repeat("x", 253) + "…"},
		{"bad \xff byte", `bad \xff byte`},
		{"", ""},
	}
	for _, test := range tests {
		if _, err := client.Post(t.Context(), report(gitlab.Success, test.description), 0); err != nil {
			t.Fatal(err)
		}
		posts := d.Statuses(commit).Posts
		last := posts[len(posts)-1]
		if last.Description != test.want || !utf8.ValidString(last.Description) {
			t.Errorf("%q became %q", test.description, last.Description)
		}
	}
}

func TestReportsThatMakeNoSense(t *testing.T) {
	d := gitlabtest.New(t)
	client := newClient(t, options(d))
	for what, change := range map[string]func(*gitlab.Report){
		"short hash":    func(r *gitlab.Report) { r.Commit = commit[:10] },
		"no hash":       func(r *gitlab.Report) { r.Commit = strings.Repeat("x", 40) },
		"no ref":        func(r *gitlab.Report) { r.Ref = "" },
		"no name":       func(r *gitlab.Report) { r.Name = "" },
		"long name":     func(r *gitlab.Report) { r.Name = strings.Repeat("n", 256) },
		"unknown state": func(r *gitlab.Report) { r.State = "succeeded" },
	} {
		r := report(gitlab.Success, "")
		change(&r)
		_, err := client.Post(t.Context(), r, 0)
		var refused *gitlab.Error
		if !errors.As(err, &refused) || refused.Kind != gitlab.KindPermanent || fault.Hint(err) == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := len(d.Requests()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

func TestTokenAndVersion(t *testing.T) {
	d := gitlabtest.New(t)
	expires := time.Now().AddDate(0, 1, 0).Truncate(24 * time.Hour).UTC()
	d.SetToken(gitlabtest.Secret, gitlabtest.Token{Name: "node3", User: gitlabtest.Agent(), Scopes: []string{"api"}, Expires: expires})
	client := newClient(t, options(d))
	token, err := client.Token(t.Context())
	if err != nil || token.Name != "node3" || token.UserID != 101 || !token.Active || token.Scopes[0] != "api" || !token.ExpiresAt.Equal(expires) {
		t.Errorf("token %+v, %v", token, err)
	}
	if version, err := client.Version(t.Context()); err != nil || version == "" {
		t.Errorf("version %q, %v", version, err)
	}
}

func TestTokenFileIsReadAnew(t *testing.T) {
	d := gitlabtest.New(t)
	client := newClient(t, options(d))
	steps := []struct {
		what   string
		change func() error
		kind   gitlab.Kind
		text   string
		hint   string
	}{
		{"good", func() error { return nil }, "", "", ""},
		{"unknown", func() error { return os.WriteFile(d.TokenFile, []byte("glpat-other"), 0o600) }, gitlab.KindAuth, "401", "valid token"},
		{"open to others", func() error { return os.Chmod(d.TokenFile, 0o640) }, gitlab.KindAuth, "other users can access the token file (mode 0640)", "chmod 600 "},
		{"gone", func() error { return os.Remove(d.TokenFile) }, gitlab.KindAuth, "no such file", "mode 600"},
		{"empty", func() error { return os.WriteFile(d.TokenFile, []byte("\n"), 0o600) }, gitlab.KindAuth, "is empty", "write"},
		{"two lines", func() error { return os.WriteFile(d.TokenFile, []byte("a\nb"), 0o600) }, gitlab.KindAuth, "does not contain a token", "only the token"},
		{"good again", func() error { return os.WriteFile(d.TokenFile, []byte(gitlabtest.Secret), 0o600) }, "", "", ""},
	}
	for _, step := range steps {
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		_, err := client.Version(t.Context())
		var refused *gitlab.Error
		if errors.As(err, &refused); step.kind == "" && err != nil || step.kind != "" && (refused == nil || refused.Kind != step.kind) {
			t.Errorf("%s: %v", step.what, err)
			continue
		}
		if err != nil && (!strings.Contains(err.Error(), step.text) || !strings.Contains(fault.Hint(err), step.hint)) {
			t.Errorf("%s: error %q, hint %q", step.what, err, fault.Hint(err))
		}
	}
}

func TestNewRefusesBadOptions(t *testing.T) {
	d := gitlabtest.New(t)
	empty := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*gitlab.Options){
		"no address":           func(o *gitlab.Options) { o.URL = "" },
		"address of ssh":       func(o *gitlab.Options) { o.URL = "ssh://git@host" },
		"plain http":           func(o *gitlab.Options) { o.URL = "http://gitlab.example.com" },
		"http to any address":  func(o *gitlab.Options) { o.URL = "http://0.0.0.0:80" },
		"credentials in it":    func(o *gitlab.Options) { o.URL = "https://user:" + gitlabtest.Secret + "@host" },
		"no project":           func(o *gitlab.Options) { o.Project = "" },
		"no token file":        func(o *gitlab.Options) { o.TokenFile = "/nowhere" },
		"directory":            func(o *gitlab.Options) { o.TokenFile = t.TempDir() },
		"no CA file":           func(o *gitlab.Options) { o.CAFile = "/nowhere" },
		"CA file without a CA": func(o *gitlab.Options) { o.CAFile = empty },
	} {
		o := options(d)
		change(&o)
		if _, err := gitlab.New(o); fault.Hint(err) == "" || strings.Contains(err.Error(), gitlabtest.Secret) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestRedirectGetsNoToken has a GitLab redirect to another server.
func TestRedirectGetsNoToken(t *testing.T) {
	d := gitlabtest.New(t)
	client := newClient(t, options(d))
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the redirect was followed, with %q", r.Header)
	}))
	defer elsewhere.Close()
	for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		d.Inject(gitlabtest.Fault{Status: status, Location: elsewhere.URL})
		if _, err := client.Version(t.Context()); err == nil || !strings.Contains(err.Error(), "redirects to "+elsewhere.URL) {
			t.Errorf("HTTP %d: %v", status, err)
		}
	}
}

func TestCertificateAuthority(t *testing.T) {
	d := gitlabtest.New(t)
	tls := httptest.NewUnstartedServer(d)
	tls.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	tls.StartTLS()
	defer tls.Close()
	o := options(d)
	o.URL = tls.URL
	_, err := newClient(t, o).Version(t.Context())
	if !strings.Contains(fault.Hint(err), "certificate authority") {
		t.Errorf("without it: %v, hint %q", err, fault.Hint(err))
	}
	o.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	content := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tls.Certificate().Raw})
	if err := os.WriteFile(o.CAFile, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newClient(t, o).Version(t.Context()); err != nil {
		t.Errorf("with it: %v", err)
	}
}

// A server may echo the request. The token must not be in an error.
func TestTokenIsInNoError(t *testing.T) {
	d := gitlabtest.New(t)
	o := options(d)
	client := newClient(t, o)
	for _, f := range []gitlabtest.Fault{
		{Status: 401, Body: `{"message":"bad token ` + gitlabtest.Secret + `"}`},
		{Status: 400, Body: `{"message":{"token":["` + gitlabtest.Secret + `"]}}`},
		{Status: 500, Body: "dump: " + gitlabtest.Secret},
		{Status: 302, Location: "https://elsewhere/?private_token=" + gitlabtest.Secret},
		{Status: 200, Body: gitlabtest.Secret},
		{Cut: true},
	} {
		d.Inject(f)
		_, err := client.Post(t.Context(), report(gitlab.Success, ""), 0)
		if err == nil {
			t.Fatalf("%+v: no error", f)
		}
		for _, form := range []string{err.Error(), fault.Hint(err)} {
			if strings.Contains(form, gitlabtest.Secret) {
				t.Errorf("%+v: %q contains the token", f, form)
			}
		}
	}
}
