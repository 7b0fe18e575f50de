package main

import (
	"bytes"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/store"
)

// historyOf serves the history of a node by its API, as far as the report needs it.
func historyOf(t *testing.T, node string, syncs int) *httptest.Server {
	t.Helper()
	state, err := store.Open(t.TempDir(), "sandbox/"+node, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = state.Close() })
	for range syncs {
		now := time.Now()
		sync := &record.Sync{Commit: "c", Trigger: record.OnCommit, State: record.Succeeded, Wrote: true, Started: now.Add(-time.Hour), Finished: now.Add(-time.Minute)}
		if err := state.Stack(record.OnlyStack).SaveOutcome(sync, nil); err != nil {
			t.Fatal(err)
		}
	}
	api, wait := (&control.Server{History: state}).Handler(t.Context())
	t.Cleanup(wait)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer 0123456789abcdef0123456789abcdef" {
			http.Error(w, `{"error":"the token is not accepted"}`, http.StatusUnauthorized)
			return
		}
		api.ServeHTTP(w, r.WithContext(control.WithCaller(r.Context(), control.Caller{Scope: control.ScopeRead})))
	}))
	t.Cleanup(server.Close)
	return server
}

// The report of several nodes is made of their histories, which have several pages.
func TestReportDoraOfOthers(t *testing.T) {
	t.Parallel()
	node3, node4 := historyOf(t, "node3", 205), historyOf(t, "node4", 2)
	dir := t.TempDir()
	token, ca := filepath.Join(dir, "token"), filepath.Join(dir, "ca.pem")
	for file, content := range map[string]string{
		token: "0123456789abcdef0123456789abcdef\n", ca: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: node3.Certificate().Raw})),
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs bytes.Buffer
	args := []string{"report", "dora", "--config", "/dev/null", "--token-file", token, "--ca-file", ca, "--api", "node3=" + node3.URL, "--api", "node4=" + node4.URL}
	if code := run(t.Context(), args, &out, &errs); code != exitDone || !strings.Contains(out.String(), "207 deployments of 1 releases to node3, node4; 0 failed.") {
		t.Errorf("exit %d: %s%s", code, out.String(), errs.String())
	}
	node4.Close()
	if code := run(t.Context(), args, &out, &errs); code != exitError || !strings.Contains(errs.String(), "read the history of node4") {
		t.Errorf("without node4: exit %d: %s", code, errs.String())
	}
}
