package notify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

// token is the secret part of a webhook's URL.
const token = "T0CAFE/B0CAFE/q7Xw2canaryZk9"

var channel = notify.Receiver{Kind: notify.KindSlack, Address: "#deployments"}

// private writes a file that only its owner can access.
func private(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// slack makes a sender for a server's webhook.
func slack(t *testing.T, server *httptest.Server, caFile string) *notify.Slack {
	t.Helper()
	sender, err := notify.NewSlack(private(t, server.URL+"/services/"+token+"\n"), caFile)
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

// hides checks that an error contains no secret in any form of printing.
func hides(t *testing.T, err error, secret string) {
	t.Helper()
	for _, text := range []string{fmt.Sprintf("%v %+v %#v", err, err, err), fault.Hint(err)} {
		for _, part := range append(strings.Split(secret, "/"), secret) {
			if strings.Contains(text, part) {
				t.Errorf("%q contains the secret", text)
			}
		}
	}
}

func TestSlackPosts(t *testing.T) {
	var got map[string]string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &got); err != nil || r.Method != http.MethodPost || r.URL.Path != "/services/"+token {
			t.Errorf("%s %s: %v %s", r.Method, r.URL, err, body)
		}
	}))
	defer server.Close()
	if err := slack(t, server, "").Send(t.Context(), channel, notify.Compose(failed())); err != nil {
		t.Fatal(err)
	}
	if got["channel"] != "#deployments" || !strings.HasPrefix(got["text"], "*sandbox/node3: rollout failed at verify, release 2026-03-14-0123456789*\n") {
		t.Errorf("posted %q", got)
	}
}

func TestSlackRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		answer    http.HandlerFunc
		want      string
		permanent bool
		after     time.Duration
	}{
		"500":           {answer: status(500, "boom "+token), want: "answers 500 Internal Server Error"},
		"404":           {answer: status(404, "no_service"), want: "answers 404 Not Found: no_service"},
		"410":           {answer: status(410, "gone "+token), want: "answers 410 Gone"},
		"403":           {answer: status(403, "invalid_token"), want: "403 Forbidden: invalid_token"},
		"400":           {answer: status(400, "channel_not_found"), want: "channel_not_found", permanent: true},
		"413":           {answer: status(413, "too large"), want: "answers 413", permanent: true},
		"429":           {answer: later("17"), want: "429", after: 17 * time.Second},
		"429, a year":   {answer: later("31536000"), want: "429", after: time.Hour},
		"429, nonsense": {answer: later("soon"), want: "429"},
		"redirect": {answer: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere/"+token, http.StatusFound)
		}, want: "answers 302 Found, which the agent does not follow"},
		"torn": {answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, want: "post to the webhook at 127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(test.answer)
			defer server.Close()
			err := slack(t, server, "").Send(t.Context(), channel, notify.Compose(failed()))
			permanent, after := notify.Asks(err)
			if err == nil || !strings.Contains(err.Error(), test.want) || permanent != test.permanent || after != test.after {
				t.Errorf("%v: permanent %v, after %s", err, permanent, after)
			}
			hides(t, err, token)
		})
	}
}

func status(code int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, text, code) }
}

func later(seconds string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", seconds)
		w.WriteHeader(http.StatusTooManyRequests)
	}
}

func TestSlackHangs(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		<-r.Context().Done()
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := slack(t, server, "").Send(ctx, channel, notify.Compose(failed()))
	if err == nil || !strings.Contains(err.Error(), "no answer in time") {
		t.Error(err)
	}
	hides(t, err, token)
}

func TestSlackTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(status(200, "ok"))
	server.Config.ErrorLog = quiet()
	server.StartTLS()
	defer server.Close()
	err := slack(t, server, "").Send(t.Context(), channel, notify.Compose(failed()))
	if err == nil || !strings.Contains(fault.Hint(err), "ca_file") {
		t.Errorf("%v, hint %q", err, fault.Hint(err))
	}
	hides(t, err, token)
	authority := private(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	if err := slack(t, server, authority).Send(t.Context(), channel, notify.Compose(failed())); err != nil {
		t.Error(err)
	}
}

func TestSlackURL(t *testing.T) {
	for content, want := range map[string]string{
		"http://hooks.example.com/" + token:        "does not use TLS",
		"ftp://hooks.example.com/" + token:         "is not valid",
		"https://me:" + token + "@hooks.example/x": "is not valid",
		"https://hooks.example.com\n" + token:      "does not contain the webhook's URL",
		token:                                      "is not valid",
		"https://[" + token:                        "is not valid",
		"":                                         "the file with the webhook's URL is empty",
	} {
		sender, err := notify.NewSlack(private(t, content), "")
		if err != nil {
			t.Fatal(err)
		}
		err = sender.Ready()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", content, err)
		}
		hides(t, err, token)
		if sent := sender.Send(t.Context(), channel, notify.Compose(failed())); sent == nil {
			t.Errorf("%q: sent", content)
		}
	}
	open := private(t, "https://hooks.example.com/"+token)
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	sender, err := notify.NewSlack(open, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := sender.Ready(); err == nil || fault.Hint(err) != "chmod 600 "+open {
		t.Errorf("%v, hint %q", err, fault.Hint(err))
	}
}

// TestSlackLearns sets the URL from the secrets, and replaces it by a new one.
func TestSlackLearns(t *testing.T) {
	posts := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { posts[r.URL.Path]++ }))
	defer server.Close()
	sender, err := notify.NewSlack("", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := sender.Send(t.Context(), channel, notify.Compose(failed())); err == nil || !sender.Unlearned() || sender.Ready() != nil {
		t.Errorf("%v, unlearned %v, ready %v", err, sender.Unlearned(), sender.Ready())
	}
	old := secrets.NewValue([]byte(server.URL + "/old\n"))
	for _, address := range []secrets.Value{old, secrets.NewValue([]byte(server.URL + "/new"))} {
		if again := secrets.NewValue(bytes.Clone(address.Reveal())); !sender.Learn(again, nil) || sender.Learn(address, nil) {
			t.Error("Learn does not distinguish a new URL from the known one")
		}
		if err := sender.Send(t.Context(), channel, notify.Compose(failed())); err != nil {
			t.Fatal(err)
		}
	}
	if posts["/old"] != 1 || posts["/new"] != 1 || old.Known() {
		t.Errorf("posted %v, the old URL is known: %v", posts, old.Known())
	}
	sender.Learn(secrets.Value{}, io.ErrUnexpectedEOF)
	if err := sender.Ready(); err == nil || sender.Unlearned() {
		t.Errorf("ready %v, unlearned %v", err, sender.Unlearned())
	}
}

// TestSlackIsBound refuses a URL that may not be used any more when a message is sent.
func TestSlackIsBound(t *testing.T) {
	posts := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { posts++ }))
	defer server.Close()
	sender, err := notify.NewSlack("", "")
	if err != nil {
		t.Fatal(err)
	}
	var refusal error
	sender.Bind(func(address string) error {
		if address != server.URL+"/x" {
			t.Errorf("asked about %s", address)
		}
		return refusal
	})
	sender.Learn(secrets.NewValue([]byte(server.URL+"/x\n")), nil)
	if err := sender.Send(t.Context(), channel, notify.Compose(failed())); err != nil || posts != 1 {
		t.Fatalf("%d posts, %v", posts, err)
	}
	refusal = io.ErrClosedPipe
	if err := sender.Send(t.Context(), channel, notify.Compose(failed())); !errors.Is(err, refusal) || posts != 1 {
		t.Errorf("%d posts, %v", posts, err)
	}
	sender.Forget()
	if !sender.Unlearned() || sender.Ready() != nil {
		t.Errorf("it does not forget: %v", sender.Ready())
	}
}
