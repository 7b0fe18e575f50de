package agent_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
)

// reported is the world's node.
var reported = report.Node{Environment: "sandbox", Name: "node3"}

// TestReportsOfARollout makes the reports of a rollout that failed and went back.
func TestReportsOfARollout(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1", configFile, automatic)
		w.start()
		w.breaks("2")
		bad := w.release("2")
		w.poll()
		sync := w.wantLast(bad, record.RolledBack)
		manifest, err := report.NewManifest(reported, sync)
		if err != nil {
			t.Fatal(err)
		}
		before := &report.Image{Name: "app", Tag: "1"}
		want := []report.Service{{
			Name: "s_web", Image: report.Image{Name: "app", Tag: "2"}, Before: before, Action: deploy.Update,
			State: deploy.Failed, Error: "it is broken",
		}}
		if diff := cmp.Diff(want, manifest.Services); diff != "" {
			t.Error(diff)
		}
		if manifest.Outcome != record.RolledBack || manifest.FailedAt != "verify" || !slices.Equal(manifest.Nodes, []string{"node3"}) {
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
		told, err := report.Rollback(reported, sync)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{
			"- **Rollback**: succeeded\n", "- **Rolled back to**: release 1, commit " + w.short("1") + ", verified by sync \\#1\n",
			"| s_web | app:2 | app:1 |", "- **Task error**: it is broken\n", "at most 0s, from the first write", "Rollback completed, services restored",
		} {
			if !strings.Contains(told, text) {
				t.Errorf("no %q in\n%s", text, told)
			}
		}
	})
}

// short is how a commit of a name is shown.
func (*world) short(name string) string { return fmt.Sprintf("%040s", name)[:10] }
