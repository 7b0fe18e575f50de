package report_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

var update = flag.Bool("update", false, "write the golden reports")

// reported is the node of the syncs in testdata.
var reported = report.Node{Environment: "sandbox", Name: "node3"}

// TestReports compares manifests and rollback reports with testdata: each folder has a
// recorded sync, its manifest and its report.
func TestReports(t *testing.T) {
	files, err := filepath.Glob("testdata/*/sync.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no reports", err)
	}
	for _, file := range files {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			sync := readSync(t, file)
			manifest, err := report.NewManifest(reported, sync)
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.MarshalIndent(manifest, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join(dir, "manifest.json"), string(text)+"\n")
			if sync.Rollback == nil {
				if text, err := report.Rollback(reported, sync); err == nil {
					t.Errorf("a report without a rollback: %s", text)
				}
				return
			}
			told, err := report.Rollback(reported, sync)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join(dir, "report.md"), told)
		})
	}
}

func readSync(t *testing.T, file string) *record.Sync {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sync := &record.Sync{}
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
