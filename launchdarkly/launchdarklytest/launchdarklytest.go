// Package launchdarklytest is a double of LaunchDarkly's REST API, as far as its list of feature
// flags goes. From requests and flags it makes the answers that the documentation of version
// 20240415 describes. It guarantees to refuse what that does not allow.
package launchdarklytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Token is the access token that the double accepts.
const Token = "api-test-double-Secret1" //nolint:gosec // of the double

// Flag is a flag with its configuration by environment.
type Flag struct {
	Key, Kind    string // Kind "" is boolean
	Variations   []any  // none: true and false
	Environments map[string]map[string]any
}

// Server is the double with one project, demo, and its environments.
type Server struct {
	URL string

	mu       sync.Mutex
	flags    []Flag
	answer   func(w http.ResponseWriter) // instead of the next answers; nil for none
	requests int
}

// New starts a double for one test.
func New(tb testing.TB, flags ...Flag) *Server {
	tb.Helper()
	s := &Server{flags: flags}
	listening := httptest.NewServer(s)
	tb.Cleanup(listening.Close)
	s.URL = listening.URL
	return s
}

// Set replaces the flags.
func (s *Server) Set(flags ...Flag) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flags = flags
}

// Answer has the double answer in another way; nil ends that.
func (s *Server) Answer(by func(w http.ResponseWriter)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = by
}

// Requests counts the requests so far.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// ServeHTTP answers GET /api/v2/flags/{projectKey}.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if s.answer != nil {
		s.answer(w)
		return
	}
	project, isFlags := strings.CutPrefix(r.URL.Path, "/api/v2/flags/")
	query := r.URL.Query()
	limit, limitErr := strconv.Atoi(query.Get("limit"))
	offset, offsetErr := strconv.Atoi(query.Get("offset"))
	switch {
	case r.Header.Get("Authorization") != Token: // no Bearer before it
		refuse(w, http.StatusUnauthorized, "unauthorized", "Invalid access token")
	case r.Header.Get("LD-API-Version") != "20240415":
		refuse(w, http.StatusBadRequest, "invalid_request", "the double answers for version 20240415")
	case r.Method != http.MethodGet:
		refuse(w, http.StatusMethodNotAllowed, "method_not_allowed", "method not allowed")
	case !isFlags || project != "demo":
		refuse(w, http.StatusNotFound, "not_found", "Unknown project key "+project)
	case query.Has("limit") && (limitErr != nil || limit < 1 || limit > 100), query.Has("offset") && (offsetErr != nil || offset < 0):
		refuse(w, http.StatusBadRequest, "invalid_request", "limit or offset is not valid")
	default:
		if !query.Has("limit") {
			limit = 20
		}
		write(w, http.StatusOK, s.list(query.Get("env"), query.Get("summary") == "0", offset, limit))
	}
}

// list is a page of the flags. Without summary=0, targets, rules and prerequisites are left out.
func (s *Server) list(environment string, whole bool, offset, limit int) map[string]any {
	sorted := slices.SortedFunc(slices.Values(s.flags), func(a, b Flag) int { return strings.Compare(a.Key, b.Key) })
	items := []any{}
	for _, flag := range sorted[min(offset, len(sorted)):min(offset+limit, len(sorted))] {
		kind, variations := flag.Kind, []any{}
		if kind == "" {
			kind = "boolean"
		}
		values := flag.Variations
		if values == nil {
			values = []any{true, false}
		}
		for i, value := range values {
			variations = append(variations, map[string]any{"_id": fmt.Sprintf("v%d", i), "value": value})
		}
		item := map[string]any{"key": flag.Key, "name": flag.Key, "kind": kind, "variations": variations, "archived": false, "temporary": true, "_version": 1}
		if at, known := flag.Environments[environment]; known {
			shown := map[string]any{"archived": false, "salt": "s", "version": 1}
			for name, value := range at {
				if whole || !slices.Contains([]string{"targets", "contextTargets", "rules", "prerequisites"}, name) {
					shown[name] = value
				}
			}
			item["environments"] = map[string]any{environment: shown}
		}
		items = append(items, item)
	}
	return map[string]any{"items": items, "totalCount": len(sorted), "_links": map[string]any{"self": map[string]any{"href": "/api/v2/flags/demo", "type": "application/json"}}}
}

func refuse(w http.ResponseWriter, code int, kind, message string) {
	write(w, code, map[string]any{"code": kind, "message": message})
}

func write(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(body) //nolint:errcheck // the client may have ended the connection
}
