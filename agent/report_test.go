package agent_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/state"
	"coin.internal/coin-agent/deploy"
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

// TestReportsOfARollout makes the reports of a rollout that failed and went back.
func TestReportsOfARollout(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1", configFile, automatic)
		w.start()
		w.breaks("2")
		bad := w.release("2")
		w.poll()
		sync := w.wantLast(bad, state.RolledBack)
		manifest, err := agent.NewManifest(reported, sync)
		if err != nil {
			t.Fatal(err)
		}
		before := &agent.ImageParts{Name: "app", Tag: "1"}
		want := []agent.ManifestService{{
			Name: "s_web", Image: agent.ImageParts{Name: "app", Tag: "2"}, Before: before, Action: deploy.Update,
			State: deploy.Failed, Error: "it is broken",
		}}
		if diff := cmp.Diff(want, manifest.Services); diff != "" {
			t.Error(diff)
		}
		if manifest.Outcome != state.RolledBack || manifest.FailedAt != "verify" || !slices.Equal(manifest.Nodes, []string{"node3"}) {
			t.Errorf("%+v", manifest)
		}
		last := time.Time{}
		for _, stage := range manifest.Stages {
			if stage.Stage != "fetch" && (stage.Entered == nil || stage.Entered.Before(last)) {
				t.Errorf("%s began at %v, after what came at %v", stage.Stage, stage.Entered, last)
			} else if stage.Entered != nil {
				last = *stage.Entered
			}
		}
		report, err := agent.RollbackReport(reported, sync)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{
			"- **Rollback**: done and proven\n", "- **Rolled back to**: release 1, commit " + w.short("1") + ", proven by sync #1\n",
			"| s_web | app:2 | app:1 |", "- **Task error**: it is broken\n", "at most 0s, from the first write", "Rollback completed, services restored",
		} {
			if !strings.Contains(report, text) {
				t.Errorf("no %q in\n%s", text, report)
			}
		}
	})
}

// short is how a commit of a name is shown.
func (*world) short(name string) string { return fmt.Sprintf("%040s", name)[:10] }
