package agent_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/state"
)

var update = flag.Bool("update", false, "write the golden reports")

// reported is the node that the syncs of testdata/reports are of.
var reported = &agent.Settings{Environment: "sandbox", Node: "node3"}

// TestReports holds manifests and rollback reports to testdata/reports: each folder
// has a sync as the state file records it, and what is made of it.
func TestReports(t *testing.T) {
	files, err := filepath.Glob("testdata/reports/*/sync.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no reports", err)
	}
	for _, file := range files {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			sync := readSync(t, file)
			manifest, err := agent.NewManifest(reported, sync)
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.MarshalIndent(manifest, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join(dir, "manifest.json"), string(text)+"\n")
			if sync.Rollback == nil {
				if text, err := agent.RollbackReport(reported, sync); err == nil {
					t.Errorf("a report of no rollback: %s", text)
				}
				return
			}
			report, err := agent.RollbackReport(reported, sync)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join(dir, "report.md"), report)
		})
	}
}

func readSync(t *testing.T, file string) *state.Sync {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sync := &state.Sync{}
	if err := json.Unmarshal(data, sync); err != nil {
		t.Fatal(err)
	}
	return sync
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
