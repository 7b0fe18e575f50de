package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/record"
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
		"stack stop -w coin --volumes --context=", "stack deploy -w coin -f docker-compose.yml --context=",
		"secrets rotate db --environment e --generate 32 --node=", "policy test --revision=", "status --host=",
	} {
		refused(line, "--config", "/dev/null", "--socket", dir+"/none.sock", "--state-dir", dir)
	}
}

// A command does not do here what its user asks of another node.
func TestNotOfAnotherNode(t *testing.T) {
	t.Parallel()
	other := otherNode(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTeapot) })
	for line, want := range map[string]string{
		"adopt --once": "adopt --once works on this machine only, not with --host",
		"audit verify --anchor --environment sandbox --node node1": "audit verify --anchor works on this machine only, not with --host",
		"report dora --api node3=https://127.0.0.1:1":              "--host and --api cannot be used together",
	} {
		var out, errs bytes.Buffer
		args := append(strings.Fields(line), append(other, "--state-dir", t.TempDir())...)
		if code := run(t.Context(), args, &out, &errs); code != exitUsage || !strings.Contains(errs.String(), want) {
			t.Errorf("agent %s: exit %d: %s%s", line, code, &out, &errs)
		}
	}
}

// The report of another node's history has not the name of this one.
func TestReportOfAnotherNode(t *testing.T) {
	t.Parallel()
	other := otherNode(t, func(w http.ResponseWriter, _ *http.Request) {
		sync := record.Sync{ID: 1, Commit: "c", Trigger: record.OnCommit, State: record.Succeeded, Wrote: true, Started: time.Now().Add(-time.Hour), Finished: time.Now().Add(-time.Minute)}
		if err := json.NewEncoder(w).Encode(record.Page{Syncs: []record.Sync{sync}}); err != nil {
			t.Error(err)
		}
	})
	var out, errs bytes.Buffer
	code := run(t.Context(), append([]string{"report", "dora", "--node", "node1"}, other...), &out, &errs)
	if want := "1 deployments of 1 releases to " + other[3]; code != exitDone || !strings.Contains(out.String(), want) {
		t.Errorf("exit %d, want %q: %s%s", code, want, &out, &errs)
	}
}

// What fails after a result with differences, such as the delivery of its statuses, is an error.
func TestFailureAfterDifferences(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		code int
		says string
	}{
		{errors.Join(errDifferent, nil), exitDifferent, ""},
		{errors.Join(errDifferent, errors.Join(errors.New("a status was not delivered"), nil)), exitError, "agent: error: a status was not delivered\n"},
	} {
		var out, errs bytes.Buffer
		a := newApp(&out, &errs)
		if code := a.exit(a.root(), nil, test.err); code != test.code || errs.String() != test.says {
			t.Errorf("%v: exit %d, %q", test.err, code, &errs)
		}
	}
}

// A user who interrupts a question does not have to answer it first.
func TestInterruptedQuestion(t *testing.T) {
	t.Parallel()
	stdin, answers := io.Pipe() // nobody answers
	defer answers.Close()       //nolint:errcheck // never fails
	ctx, interrupt := context.WithCancel(t.Context())
	var out bytes.Buffer
	answered := make(chan bool, 1)
	go func() { answered <- confirmed(ctx, stdin, &out, "roll back?") }()
	interrupt()
	select {
	case yes := <-answered:
		if yes || out.String() != "roll back? [y/N] \n" {
			t.Errorf("confirmed %t, %q", yes, &out)
		}
	case <-time.After(endLimit):
		t.Error("the command waits for the answer")
	}
}
