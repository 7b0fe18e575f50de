package gitlab_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/fuzzed"
	"coin.internal/coin-agent/internal/limits"
)

// hostile gives a client of a server that answers everything with one answer.
func hostile(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) *gitlab.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(answer))
	t.Cleanup(server.Close)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := gitlab.New(gitlab.Options{URL: server.URL, Project: "coin/gitops", TokenFile: token})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// TestInflatingAnswer reads an answer of some KB that inflates to 64 MB, from a list and from
// a single question.
func TestInflatingAnswer(t *testing.T) {
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	for _, part := range [][]byte{[]byte(`[{"name": "`), bytes.Repeat([]byte("x"), 64<<20), []byte(`"}]`)} {
		if _, err := writer.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	client := hostile(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes()) // the client stops reading
	})
	_, listed := client.Statuses(t.Context(), strings.Repeat("a", 40))
	_, asked := client.Token(t.Context())
	for _, err := range []error{listed, asked} {
		if !errors.Is(err, limits.ErrExceeded) || !strings.Contains(err.Error(), "has more than 16MiB: limits.answer_bytes allows 16MiB") || !strings.Contains(fault.Hint(err), "answer_bytes") {
			t.Errorf("got %v (hint %q)", err, fault.Hint(err))
		}
	}
}

// TestEndlessList reads a list whose every page names another one, with full pages and with
// empty ones.
func TestEndlessList(t *testing.T) {
	for name, test := range map[string]struct{ page, want string }{
		"full":  {`[{"name": "` + strings.Repeat("x", 1<<20) + `"}]`, "limits.answer_bytes allows 16MiB"},
		"empty": {`[]`, "the list has more than 1000 pages"},
	} {
		t.Run(name, func(t *testing.T) {
			pages := 0
			client := hostile(t, func(w http.ResponseWriter, _ *http.Request) {
				pages++
				w.Header().Set("X-Next-Page", fmt.Sprint(pages+1))
				w.Header().Set("Link", fmt.Sprintf(`<http://gitlab.example.com/?page=%d>; rel="next"`, pages+1))
				_, _ = w.Write([]byte(test.page))
			})
			if _, err := client.Statuses(t.Context(), strings.Repeat("a", 40)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("after %d pages: got %v", pages, err)
			}
		})
	}
}

// FuzzAnswer gives any bytes as GitLab's answers.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{`[]`, `{}`, `[{"id": 1, "status": "success", "author": null}]`, `{"message": {"base": ["x"]}}`, `{"expires_at": "2026-01-01"}`, `[{"iid": -1}]`, "<html>"} {
		f.Add([]byte(seed), 200)
		f.Add([]byte(seed), 404)
	}
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		client := hostile(t, func(w http.ResponseWriter, _ *http.Request) {
			if status >= 200 && status < 600 {
				w.WriteHeader(status)
			}
			_, _ = w.Write(body)
		})
		commit, all := strings.Repeat("a", 40), make([]error, 4)
		fuzzed.Bounded(t, func() {
			_, all[0] = client.Token(t.Context())
			_, all[1] = client.Statuses(t.Context(), commit)
			_, all[2] = client.Approvals(t.Context(), gitlab.MergeRequestOf{Number: 1})
			_, all[3] = client.MergeRequests(t.Context(), commit)
		})
		for _, err := range all {
			if err != nil && strings.Contains(err.Error(), "secret-token") {
				t.Errorf("the error contains the token: %v", err)
			}
		}
	})
}
