// Package harbortest is a double of Harbor's API v2.0 for scans of artifacts: from the
// artifacts of a test it makes answers. It guarantees to be as strict as Harbor, and to
// return no answer that Harbor would not return.
package harbortest

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// The login of the double.
const (
	User     = "robot$agent"
	Password = "canary-harbor-token-8d20f1"
)

// The formats of reports that a client can request. Native is the default.
const (
	Generic = "application/vnd.security.vulnerability.report; version=1.1"
	Native  = "application/vnd.scanner.adapter.vuln.report.harbor+json; version=1.0"
)

// Scan is the scan of an artifact in the double.
type Scan struct {
	Status   string         // default Success; Pending, Running, Scheduled, Stopped, Error
	Severity string         // Critical … None; Unknown before the end of a scan
	Counts   map[string]int // vulnerabilities by severity
	Form     string         // default Generic
	Share    int            // percent of an index's images with a successful scan, default 100; Harbor reports success from the first image on
	Unasked  bool           // it was never scanned
	Private  bool           // its project is only visible with a login
	Hidden   bool           // User has no access to its project
}

// Harbor is a running double.
type Harbor struct {
	URL  string // https://127.0.0.1:…
	Host string // of URL
	CA   []byte // its certificate in PEM

	mu        sync.Mutex
	artifacts map[string]Scan // by project/repository:reference
	requests  []string
	answer    http.HandlerFunc // replaces the normal answers if not nil
}

// New starts a double that ends with the test.
func New(tb testing.TB) *Harbor {
	tb.Helper()
	h := &Harbor{artifacts: map[string]Scan{}}
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	tb.Cleanup(server.Close)
	h.URL, h.Host = server.URL, strings.TrimPrefix(server.URL, "https://")
	h.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return h
}

// Put adds an artifact: project/repository:tag, or …@sha256:….
func (h *Harbor) Put(artifact string, scan Scan) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if name, digest, ok := strings.Cut(artifact, "@"); ok {
		artifact = name + ":" + digest
	}
	h.artifacts[artifact] = scan
}

// Answer replaces the answers to all requests; nil restores the normal answers.
func (h *Harbor) Answer(answer http.HandlerFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = answer
}

// Requests lists the paths of the requests, in order.
func (h *Harbor) Requests() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.requests...)
}

// ServeHTTP answers one request.
func (h *Harbor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	answer := h.answer
	h.requests = append(h.requests, r.URL.EscapedPath())
	h.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	if r.Method != http.MethodGet {
		Refuse(w, http.StatusForbidden, "FORBIDDEN", "CSRF token not found in request")
		return
	}
	project, repository, reference, ok := artifactOf(r.URL.EscapedPath())
	if !ok {
		Refuse(w, http.StatusNotFound, "NOT_FOUND", "path "+r.URL.Path+" was not found")
		return
	}
	h.artifact(w, r, project, repository+":"+reference)
}

// artifactOf parses a path. It decodes the repository's name twice: a slash that is encoded
// once becomes a slash of the path, as in Harbor.
func artifactOf(path string) (project, repository, reference string, ok bool) {
	rest, ok := strings.CutPrefix(strings.ReplaceAll(strings.ReplaceAll(path, "%2F", "/"), "%2f", "/"), "/api/v2.0/projects/")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 5 || parts[1] != "repositories" || parts[3] != "artifacts" {
		return "", "", "", false
	}
	once, err := url.PathUnescape(parts[2])
	if err != nil {
		return "", "", "", false
	}
	if repository, err = url.PathUnescape(once); err != nil {
		return "", "", "", false
	}
	reference, err = url.PathUnescape(parts[4])
	return parts[0], repository, reference, err == nil
}

// artifact answers a request for one artifact. A wrong login counts as no login. A caller
// without access cannot find out whether a project exists.
func (h *Harbor) artifact(w http.ResponseWriter, r *http.Request, project, name string) {
	h.mu.Lock()
	scan, there := h.artifacts[project+"/"+name]
	known := false
	for other := range h.artifacts {
		known = known || strings.HasPrefix(other, project+"/")
	}
	h.mu.Unlock()
	user, password, _ := r.BasicAuth()
	authenticated := user == User && password == Password
	switch {
	case (scan.Private || !known) && !authenticated:
		Refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "unauthorized")
	case scan.Hidden || !known:
		Refuse(w, http.StatusForbidden, "FORBIDDEN", "forbidden")
	case !there:
		Refuse(w, http.StatusNotFound, "NOT_FOUND", "artifact "+project+"/"+name+" not found")
	default:
		write(w, http.StatusOK, describe(r, name, scan))
	}
}

func describe(r *http.Request, name string, scan Scan) map[string]any {
	artifact := map[string]any{"id": 7, "type": "IMAGE", "repository_name": name, "size": 1 << 20}
	form, status, severity := scan.Form, scan.Status, scan.Severity
	if form == "" {
		form = Generic
	}
	if status == "" {
		status = "Success"
	}
	if status != "Success" {
		severity = "Unknown"
	}
	share := scan.Share
	if share == 0 {
		share = 100
	}
	accepted := r.Header.Get("X-Accept-Vulnerabilities")
	if accepted == "" {
		accepted = Native
	}
	if scan.Unasked || r.URL.Query().Get("with_scan_overview") != "true" || !strings.Contains(accepted, form) {
		return artifact
	}
	total := 0
	for _, n := range scan.Counts {
		total += n
	}
	artifact["scan_overview"] = map[string]any{form: map[string]any{
		"report_id": "5d62aae8", "scan_status": status, "severity": severity, "duration": 8, "complete_percent": share,
		"summary":    map[string]any{"total": total, "fixable": 0, "summary": scan.Counts},
		"start_time": "2025-12-15T10:00:00.000Z", "end_time": time.Date(2025, 12, 15, 10, 0, 8, 0, time.UTC),
		"scanner": map[string]any{"name": "Trivy", "vendor": "Aqua Security", "version": "v0.51"},
	}}
	return artifact
}

// Refuse answers with an error in Harbor's format.
func Refuse(w http.ResponseWriter, status int, code, message string) {
	write(w, status, map[string]any{"errors": []map[string]string{{"code": code, "message": message}}})
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		panic(fmt.Sprintf("harbortest: %v", err)) // maps of texts and numbers always marshal
	}
}
