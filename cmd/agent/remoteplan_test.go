package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/report"
)

// A node with several stacks shows the plan of each, or of the one that is named, and completes
// their names.
func TestStacksOfAnotherNode(t *testing.T) {
	answers := func(w http.ResponseWriter, value any) {
		if err := json.NewEncoder(w).Encode(value); err != nil {
			t.Error(err)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stack := r.URL.Query().Get("stack")
		switch {
		case r.URL.Path == "/v1/status":
			answers(w, report.Status{Running: true, Stacks: []report.StackLine{{Stack: "platform", Text: "IN SYNC"}, {Stack: "business"}, {Stack: "old", Left: &report.Left{}}}})
		case r.URL.Path == "/v1/plan" && stack == "platform":
			answers(w, control.Plan{Of: control.PlanOfNone, Stack: stack})
		case r.URL.Path == "/v1/plan" && stack == "business":
			answers(w, control.Plan{Of: control.PlanOfDrift, Stack: stack})
		default:
			t.Errorf("asks for %s", r.URL)
		}
	}))
	defer server.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(readToken), 0o600); err != nil {
		t.Fatal(err)
	}
	ran := func(want int, args ...string) string {
		t.Helper()
		args = slices.Insert(args, len(args)-1, "--host", server.URL, "--token-file", token)
		var out, errs bytes.Buffer
		if code := run(t.Context(), args, &out, &errs); code != want {
			t.Errorf("agent %s: exit %d, want %d: %s%s", strings.Join(args, " "), code, want, &out, &errs)
		}
		return out.String()
	}
	if said := ran(exitDifferent, "diff", "--grants=false"); !strings.HasPrefix(said, "stack platform\n") || !strings.Contains(said, "\n\nstack business\nthe live services differ") {
		t.Errorf("of each stack:\n%s", said)
	}
	if said := ran(exitDone, "diff", "--stack=platform"); strings.HasPrefix(said, "stack ") {
		t.Errorf("of one stack:\n%s", said)
	}
	var all []control.Plan
	if err := json.Unmarshal([]byte(ran(exitDifferent, "diff", "--output=json")), &all); err != nil || len(all) != 2 || all[1].Of != control.PlanOfDrift {
		t.Errorf("as JSON: %+v, %v", all, err)
	}
	if said := ran(exitDone, "__complete", "retry", "--stack="); !strings.Contains(said, "platform\tIN SYNC\n") || !strings.Contains(said, "old\n") {
		t.Errorf("completion:\n%s", said)
	}
}
