package gitlabtest

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// Secret is the token that New accepts.
const Secret = "glpat-test-double-Secret1"

// Agent is the user of the token Secret.
func Agent() User { return User{ID: 101, Name: "coin-agent", Access: Maintainer} }

// Instance is a running double.
type Instance struct {
	*Server
	URL       string
	TokenFile string // contains Secret
}

// New starts a double for one test. It has the token Secret and no commits.
func New(tb testing.TB) *Instance {
	tb.Helper()
	server := NewServer(Config{})
	server.SetToken(Secret, Token{Name: "agent", User: Agent(), Scopes: []string{"api"}})
	listening := httptest.NewServer(server)
	tb.Cleanup(listening.Close)
	return &Instance{Server: server, URL: listening.URL, TokenFile: TokenFile(tb, Secret)}
}

// TokenFile writes a token file that only its owner can access.
func TokenFile(tb testing.TB, secret string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "token")
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}
