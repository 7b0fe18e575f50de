package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/store"
)

// The report is made of the state file where no daemon runs, in each form; a period that has
// not begun is wrong usage.
func TestReportDora(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	state, err := store.Open(dir, "sandbox/node3", nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for range 3 {
		sync := &record.Sync{Commit: "c", Trigger: record.OnCommit, State: record.Succeeded, Wrote: true, Started: now.Add(-time.Hour), Finished: now.Add(-time.Minute)}
		if err := state.Stack(record.OnlyStack).SaveOutcome(sync, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := state.Close(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{nil, 0, "3 deployments of 1 releases to node3; 0 failed."},
		{[]string{"-o", "json", "--since", "1d"}, 0, `"name": "deployment time (95 %)",` + "\n" + `      "value": 3540,`},
		{[]string{"-o", "csv"}, 0, ",change failure rate,0.000,percent,3,,under 5 %,true\n"},
		{[]string{"-o", "markdown"}, 0, "| deployment time (95 %) | 59m0s | 3 | - | under 15m | missed |\n"},
		{[]string{"--since", "2100-01-01"}, 2, "begins no period"},
		{[]string{"--since", "soon"}, 2, "is not a time"},
		{[]string{"--api", "node3"}, 2, "has no node"},
		{[]string{"--api", "node3=https://127.0.0.1:1"}, 1, "token"},
	} {
		var out, errs bytes.Buffer
		args := append([]string{"report", "dora", "--config", "/dev/null", "--node", "node3", "--state-dir", dir, "--socket", dir + "/none.sock"}, test.args...)
		if code := run(t.Context(), args, &out, &errs); code != test.code || !strings.Contains(out.String()+errs.String(), test.says) {
			t.Errorf("%v: %d, %s%s", test.args, code, out.String(), errs.String())
		}
	}
}
