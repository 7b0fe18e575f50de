package launchdarkly_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/launchdarkly"
	"coin.internal/coin-agent/launchdarkly/launchdarklytest"
)

type fields = map[string]any

func tokenFile(t *testing.T, token string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(name, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func client(t *testing.T, s *launchdarklytest.Server, token string) *launchdarkly.Client {
	t.Helper()
	c, err := launchdarkly.New(launchdarkly.Options{URL: s.URL, TokenFile: tokenFile(t, token)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// in is a flag in production.
func in(key string, at fields) launchdarklytest.Flag {
	return launchdarklytest.Flag{Key: key, Environments: map[string]map[string]any{"production": at}}
}

func rollout(weights ...int) fields {
	parts := []any{}
	for i, weight := range weights {
		parts = append(parts, fields{"variation": i, "weight": weight})
	}
	return fields{"rollout": fields{"variations": parts, "bucketBy": "key"}}
}

// A flag has a value where everyone gets the same.
func TestFlags(t *testing.T) {
	t.Parallel()
	always := fields{"variation": 0}
	text := in("text", fields{"on": true, "fallthrough": always})
	text.Kind, text.Variations = "multivariate", []any{"a", "b"}
	s := launchdarklytest.New(t, text,
		in("on", fields{"on": true, "fallthrough": always, "offVariation": 1}),
		in("off", fields{"on": false, "fallthrough": always, "offVariation": 1}),
		in("off-without", fields{"on": false, "fallthrough": always}),
		in("all", fields{"on": true, "fallthrough": rollout(0, 100000)}),
		in("part", fields{"on": true, "fallthrough": rollout(12500, 87500), "offVariation": 1}),
		in("rules", fields{"on": true, "fallthrough": always, "rules": []any{fields{"clauses": []any{}}}}),
		in("targets", fields{"on": true, "fallthrough": always, "targets": []any{fields{"values": []any{"ada"}, "variation": 1}}}),
		in("needs", fields{"on": true, "fallthrough": always, "prerequisites": []any{fields{"key": "other", "variation": 0}}}),
		in("off-with-rules", fields{"on": false, "offVariation": 0, "rules": []any{fields{}}}),
	)
	got, err := client(t, s, launchdarklytest.Token).Flags(t.Context(), "demo", "production")
	want := []launchdarkly.Flag{
		{Key: "all"},
		{Key: "needs", Refused: "it depends on the flag other"},
		{Key: "off"},
		{Key: "off-with-rules", On: true},
		{Key: "off-without", Refused: "it is off, and has no variation for that: each application takes its own default"},
		{Key: "on", On: true},
		{Key: "part", Refused: "it is a percentage rollout (12.5% true, 87.5% false), and a variable has one value"},
		{Key: "rules", Refused: "it has rules: some users get another value"},
		{Key: "targets", Refused: "it has targets: some users get another value"},
		{Key: "text", Refused: "it is not a boolean flag, but multivariate"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// All pages are read.
func TestPages(t *testing.T) {
	t.Parallel()
	var flags []launchdarklytest.Flag
	for i := range 250 {
		flags = append(flags, in(fmt.Sprintf("flag-%03d", i), fields{"on": false, "offVariation": 1}))
	}
	s := launchdarklytest.New(t, flags...)
	got, err := client(t, s, launchdarklytest.Token).Flags(t.Context(), "demo", "production")
	if err != nil || len(got) != 250 || s.Requests() != 3 {
		t.Errorf("%d flags by %d requests, %v", len(got), s.Requests(), err)
	}
}

// An answer that is not one gives no flags, and no error shows the token.
func TestRefused(t *testing.T) {
	t.Parallel()
	says := func(code int, body string, headers ...string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(code)
			fmt.Fprint(w, body)
		}
	}
	for name, test := range map[string]struct {
		token, project string
		answer         func(http.ResponseWriter)
		want, hint     string
	}{
		"wrong token":     {token: "sdk-key", want: "LaunchDarkly answers 401: Invalid access token", hint: "not an SDK key"},
		"unknown project": {project: "other", want: "answers 404: Unknown project key other", hint: "--project"},
		"rate limit":      {answer: says(429, `{"message":"slow down"}`, "X-Ratelimit-Reset", "1735689600000"), want: "answers 429: slow down", hint: "after 00:00:00 UTC"},
		"blocked":         {answer: says(429, `no`, "Retry-After", "7"), want: "answers 429", hint: "in 7s"},
		"the token":       {answer: says(401, `{"message":"Invalid token `+launchdarklytest.Token+`"}`), want: "answers 401: Invalid token [token]"},
		"redirect":        {answer: says(302, "", "Location", "https://evil.example"), want: "answers 302"},
		"no JSON":         {answer: says(200, "<html>"), want: "invalid character"},
		"no list":         {answer: says(200, "{}"), want: "has no list of flags"},
		"changed list": {
			answer: says(200, `{"items":[`+strings.Repeat(`{"key":"a","kind":"text","environments":{"production":{"on":true}}},`, 2)+`{"key":"b","kind":"text","environments":{"production":{"on":true}}}],"totalCount":3}`),
			want:   `the flag "a" is in the list twice`, hint: "try again",
		},
		"cut list":       {answer: says(200, `{"items":[],"totalCount":3}`), want: "got 0 of 3 flags"},
		"no environment": {answer: says(200, `{"items":[{"key":"a","kind":"boolean"}],"totalCount":1}`), want: `the flag "a" has no configuration of the environment production`},
		"no such variation": {
			answer: says(200, `{"items":[{"key":"a","kind":"boolean","environments":{"production":{"on":false,"offVariation":9}}}],"totalCount":1}`), want: `has no variation 9`,
		},
		"too long": {answer: says(200, strings.Repeat(" ", 17<<20)), want: "more bytes than allowed"},
	} {
		s := launchdarklytest.New(t)
		s.Answer(test.answer)
		if test.token == "" {
			test.token = launchdarklytest.Token
		}
		if test.project == "" {
			test.project = "demo"
		}
		flags, err := client(t, s, test.token).Flags(t.Context(), test.project, "production")
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(fault.Hint(err), test.hint) || len(flags) > 0 || strings.Contains(err.Error(), test.token) {
			t.Errorf("%s: got %v, %v (%s)", name, flags, err, fault.Hint(err))
		}
	}
}

// The token goes over TLS only, and comes from a file of its owner.
func TestOptions(t *testing.T) {
	t.Parallel()
	open := tokenFile(t, "x")
	if err := os.Chmod(open, 0o644); err != nil { //nolint:gosec // that is refused
		t.Fatal(err)
	}
	for want, o := range map[string]launchdarkly.Options{
		"does not use TLS": {URL: "http://app.launchdarkly.com", TokenFile: tokenFile(t, "x")},
		"is not valid":     {URL: "https://user:pass@app.launchdarkly.com", TokenFile: tokenFile(t, "x")},
		"no token":         {},
		"token file":       {TokenFile: open},
	} {
		if _, err := launchdarkly.New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
