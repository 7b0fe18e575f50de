package gitlab_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"iter"
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

// TestInflatingAnswer reads an answer of some KB that inflates to 17 MiB, from a list and from
// a single question.
func TestInflatingAnswer(t *testing.T) {
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	for _, part := range [][]byte{[]byte(`[{"name": "`), bytes.Repeat([]byte("x"), 17<<20), []byte(`"}]`)} {
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

// answering answers requests without a network.
type answering func(w http.ResponseWriter)

func (a answering) RoundTrip(asked *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	a(recorder)
	answer := recorder.Result()
	answer.Request = asked
	return answer, nil
}

// questions lists all requests of a client, each by an error; nil if it has none.
func questions(ctx context.Context, client *gitlab.Client) []func() error {
	commit, requests := strings.Repeat("a", 40), gitlab.NewRequests(client)
	merged := gitlab.Request{Number: 1, State: gitlab.Merged, Head: commit, Brought: true}
	return []func() error{
		func() error { return lastOf(client.Token(ctx)) },
		func() error { return lastOf(client.Statuses(ctx, commit)) },
		func() error { return lastOf(client.Approvals(ctx, merged)) },
		func() error { return lastOf(client.MergeRequests(ctx, commit)) },
		func() error { return lastOf(client.Protected(ctx, "main")) },
		func() error { return lastOf(client.Agents(ctx)) },
		func() error { return lastOf(client.Tip(ctx, "main")) },
		func() error { return lastOf(client.DefaultBranch(ctx)) },
		func() error {
			return lastOf(client.OpenMergeRequest(ctx, gitlab.MergeRequest{Source: "a", Target: "b"}))
		},
		func() error { return lastOf(client.WriteNote(ctx, 1, "text")) },
		func() error {
			return lastOf(client.Post(ctx, gitlab.Report{Commit: commit, Ref: "main", Name: "coin/a", State: gitlab.Success}, 0))
		},
		func() error { return lastItem(client.Notes(ctx, 1)) },
		func() error { return lastOf(requests.Open(ctx, "main")) },
		func() error { return lastOf(requests.Find(ctx, 1)) },
		func() error { return lastOf(requests.Brought(ctx, commit)) },
		func() error { return lastOf(requests.Self(ctx)) },
		func() error { return lastOf(requests.Write(ctx, 1, "text")) },
		func() error { return requests.Change(ctx, 1, 1, "text") },
		func() error { return requests.Remove(ctx, 1, 1) },
		func() error { return lastItem(requests.Notes(ctx, 1)) },
	}
}

func lastOf[T any](_ T, err error) error { return err }

func lastItem[T any](items iter.Seq2[T, error]) (last error) {
	for _, last = range items { //nolint:revive // the error comes last
	}
	return last
}

// FuzzAnswer gives any bytes as GitLab's answers: to the first request of each question, and to
// those that follow.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`[]`, `{}`, `[{"id": 1, "status": "success", "author": null}]`, `{"message": {"base": ["x"]}}`, `{"expires_at": "2026-01-01"}`, `[{"iid": -1}]`, "<html>",
		`null`, `[null]`, `{"author":null}`, `{"approved_by":[null]}`, `{"approved_by":[{"user":null}]}`, `{"iid":1,"diff_refs":null,"author":null,"labels":[null]}`,
		`{"id":1,"username":"ada","commit":null,"body":"text"}`,
	} {
		f.Add([]byte(seed), []byte(seed), 200)
		f.Add([]byte(seed), []byte(`[null]`), 200)
		f.Add([]byte(seed), []byte(seed), 404)
	}
	f.Add([]byte(`{"approved_by":[{"user":{"username":"ada"}}]}`), []byte(`[{"id":1,"head_commit_sha":"a","created_at":"2026-01-01T00:00:00Z","author":null}]`), 200)
	token := filepath.Join(f.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret-token"), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body, more []byte, status int) {
		next := body
		client, err := gitlab.New(gitlab.Options{
			URL: "https://gitlab.example.com", Project: "coin/gitops", TokenFile: token,
			Transport: answering(func(w http.ResponseWriter) {
				if status >= 200 && status < 600 {
					w.WriteHeader(status)
				}
				_, _ = w.Write(next)
				next = more
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, ask := range questions(t.Context(), client) {
			next = body
			fuzzed.Bounded(t, func() { err = ask() })
			if err != nil && strings.Contains(err.Error(), "secret-token") {
				t.Errorf("the error contains the token: %v", err)
			}
		}
	})
}
