// Package vaulttest has a double of Vault's API, as strict as the real one as far as the agent
// and the tests use it, and the contract suite that runs on both.
package vaulttest

import (
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is a Vault with a root token.
type Server struct {
	Address string
	Root    string
	CAFile  string // "" without TLS
	Unseal  string // the key that unseals it
}

// Double is a Vault in memory.
type Double struct {
	Server

	// Answer answers a request in place of the double, if it returns true.
	Answer func(http.ResponseWriter, *http.Request) bool

	mu       sync.Mutex
	sealed   bool
	mounts   map[string]string              // path to kv-v1, kv-v2 or the type of the auth method below auth/
	values   map[string]map[string]any      // of kv-v1
	secrets  map[string]*secret             // of kv-v2, by mount/path
	policies map[string]map[string][]string // capabilities by path, by the policy's name
	tokens   map[string]*token
	roles    map[string]*role // by auth mount/name
	keys     []string         // that sign JSON web tokens, as PEM
	requests []Request
}

// Request is a request that the double got.
type Request struct{ Method, Path, Namespace, WrapTTL string }

type secret struct{ versions []*kvVersion }

type kvVersion struct {
	data      map[string]any
	deleted   string // the time; "" if it is not
	destroyed bool
}

type token struct {
	policies  []string
	expires   time.Time // zero: never
	ttl       time.Duration
	renewable bool
}

type role struct {
	id        string
	secrets   []string
	audiences []string
	policies  []string
	ttl       time.Duration
}

// New starts a double, which ends with the test. It has TLS.
func New(tb testing.TB) *Double {
	tb.Helper()
	d := &Double{
		mounts: map[string]string{}, values: map[string]map[string]any{}, secrets: map[string]*secret{}, policies: map[string]map[string][]string{},
		tokens: map[string]*token{"root": {policies: []string{"root"}}}, roles: map[string]*role{},
	}
	server := httptest.NewTLSServer(http.HandlerFunc(d.serve))
	tb.Cleanup(server.Close)
	ca := filepath.Join(tb.TempDir(), "vault-ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		tb.Fatal(err)
	}
	d.Server = Server{Address: server.URL, Root: "root", CAFile: ca, Unseal: rand.Text()}
	return d
}

// Requests lists the requests for a path or what is below it.
func (d *Double) Requests(prefix string) []Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(d.requests), func(r Request) bool { return !strings.HasPrefix(r.Path, prefix) })
}

// call is one request.
type call struct {
	d      *Double
	w      http.ResponseWriter
	r      *http.Request
	path   string
	body   map[string]any
	token  string
	holder *token // nil for an unknown or expired token
}

func (d *Double) serve(w http.ResponseWriter, r *http.Request) {
	if d.Answer != nil && d.Answer(w, r) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &call{d: d, w: w, r: r, path: strings.TrimPrefix(r.URL.Path, "/v1/"), token: r.Header.Get("X-Vault-Token")}
	d.requests = append(d.requests, Request{r.Method, c.path, r.Header.Get("X-Vault-Namespace"), r.Header.Get("X-Vault-Wrap-Ttl")})
	if r.Body != nil && json.NewDecoder(r.Body).Decode(&c.body) != nil && r.ContentLength > 0 {
		c.fail(http.StatusBadRequest, "failed to parse JSON input")
		return
	}
	if holder := d.tokens[c.token]; holder != nil && (holder.expires.IsZero() || time.Now().Before(holder.expires)) {
		c.holder = holder
	}
	switch {
	case c.path == "sys/unseal":
		d.sealed = d.sealed && c.text("key") != d.Unseal
		c.give(map[string]any{"sealed": d.sealed})
	case d.sealed:
		c.fail(http.StatusServiceUnavailable, "Vault is sealed")
	case strings.HasSuffix(c.path, "/login") && strings.HasPrefix(c.path, "auth/"):
		c.logIn()
	case !c.may():
		c.fail(http.StatusForbidden, "permission denied")
	case strings.HasPrefix(c.path, "auth/token/"):
		c.tokens()
	case strings.HasPrefix(c.path, "auth/"):
		c.authMethod()
	case strings.HasPrefix(c.path, "sys/"):
		c.system()
	default:
		c.engine()
	}
}

// capability is what a request needs.
func (c *call) capability() string {
	switch c.r.Method {
	case http.MethodGet:
		return "read"
	case http.MethodDelete:
		return "delete"
	case "LIST":
		return "list"
	}
	return "update"
}

// may reports whether the policies of the token allow the request.
func (c *call) may() bool {
	if c.holder == nil {
		return false
	}
	for _, name := range c.holder.policies {
		rules := c.d.policies[name]
		switch name {
		case "root":
			return true
		case "default":
			rules = map[string][]string{"auth/token/lookup-self": {"read"}, "auth/token/renew-self": {"update"}, "auth/token/revoke-self": {"update"}}
		}
		for pattern, capabilities := range rules {
			prefix, glob := strings.CutSuffix(pattern, "*")
			if (c.path == pattern || glob && strings.HasPrefix(c.path, prefix)) && slices.Contains(capabilities, c.capability()) {
				return true
			}
		}
	}
	return false
}

func (c *call) text(key string) string {
	text, _ := c.body[key].(string)
	return text
}

func (c *call) list(key string) []string {
	if text, ok := c.body[key].(string); ok {
		return strings.Split(text, ",")
	}
	items, _ := c.body[key].([]any)
	var all []string
	for _, item := range items {
		all = append(all, fmt.Sprint(item))
	}
	return all
}

func (c *call) duration(key string) time.Duration {
	made, _ := time.ParseDuration(c.text(key))
	return made
}

func (c *call) give(answer map[string]any) { c.answer(http.StatusOK, answer) }

func (c *call) answer(status int, answer map[string]any) {
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	_ = json.NewEncoder(c.w).Encode(answer)
}

func (c *call) done() { c.w.WriteHeader(http.StatusNoContent) }

func (c *call) fail(status int, messages ...string) {
	if messages == nil {
		messages = []string{}
	}
	c.answer(status, map[string]any{"errors": messages})
}

// mount finds the engine or auth method of a path.
func (c *call) mount() (mount, kind, rest string, found bool) {
	for _, name := range slices.Sorted(maps.Keys(c.d.mounts)) {
		if rest, inside := strings.CutPrefix(c.path, name+"/"); inside {
			return name, c.d.mounts[name], rest, true
		}
	}
	return "", "", "", false
}
