package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// otherNode is the agent of another node, and the flags that name it.
func otherNode(t *testing.T, answer http.HandlerFunc) []string {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(readToken), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--config", "/dev/null", "--host", server.URL, "--token-file", token}
}

// A variable that is not set in a script does not have a command work on more than its user meant.
func TestEmptyValues(t *testing.T) {
	t.Parallel()
	other := otherNode(t, func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the agent is asked for %s %s", r.Method, r.URL)
		http.Error(w, "no", http.StatusTeapot)
	})
	refused := func(line string, flags ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		args := append(strings.Fields(line), flags...)
		want := line[strings.LastIndex(line, "--"):len(line)-1] + " is empty"
		if code := run(t.Context(), args, &out, &errs); code != exitUsage || !strings.Contains(errs.String(), want) {
			t.Errorf("agent %s: exit %d: %s%s", line, code, &out, &errs)
		}
	}
	for _, line := range []string{
		"rollback --yes --service=", "rollback --yes --stack=", "resume --stack=", "sync --to=", "sync --wait --stack=",
		"pause --reason x --for=", "pause --reason x --until=", "approve 79f141c9f3 --reason x --plan=", "diff --stack=",
	} {
		refused(line, other...)
	}
	dir := t.TempDir() // is no repository
	for _, line := range []string{
		"wait --environment e --commit=", "wait --environment e --commit c --node=", "release revert --environment e --commit=",
		"secrets rotate db --environment e --generate 32 --node=", "policy test --revision=", "status --host=",
	} {
		refused(line, "--config", "/dev/null", "--socket", dir+"/none.sock", "--state-dir", dir)
	}
}
