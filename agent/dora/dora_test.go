package dora_test

import (
	"encoding/csv"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/dora"
	"coin.internal/coin-agent/agent/record"
)

var (
	until = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	since = until.Add(-14 * 24 * time.Hour)
)

// at gives a sync that began at an hour of the period, worked for some minutes, and ended in a
// state.
func at(hour int, minutes time.Duration, state record.State, change func(*record.Sync)) record.Sync {
	start := since.Add(time.Duration(hour) * time.Hour)
	sync := record.Sync{
		ID: uint64(10000 + hour), Commit: fmt.Sprint("commit at ", hour), Trigger: record.OnCommit, State: state, Wrote: true,
		Started: start, Entered: map[record.Stage]time.Time{record.StageApply: start}, Finished: start.Add(minutes * time.Minute),
	}
	if change != nil {
		change(&sync)
	}
	return sync
}

// back is a rollback that a sync made, of some minutes.
func back(s *record.Sync, minutes time.Duration) {
	s.Rollback = &record.Rollback{Started: s.Finished.Add(-minutes * time.Minute), Finished: s.Finished, Stage: record.StageVerify}
}

// The report counts deployments alone, each failure once, and recoveries from the first write
// of what failed.
func TestReport(t *testing.T) {
	asRollback := func(s *record.Sync) {
		s.Trigger = record.OnRollback
		back(s, 4)
		s.Rollback.Stage = ""
	}
	for name, test := range map[string]struct {
		syncs []record.Sync
		want  dora.Period
	}{
		"nothing": {nil, dora.Period{}},
		"what does not count": {[]record.Sync{
			at(1, 1, record.Succeeded, func(s *record.Sync) { s.Wrote = false }),
			at(2, 1, record.Failed, func(s *record.Sync) { s.Wrote = false }), // refused by the policy
			at(3, 1, record.Superseded, nil),
			at(4, 1, record.Succeeded, func(s *record.Sync) { s.Trigger = record.OnDrift }),
			at(5, 1, record.Failed, func(s *record.Sync) { s.Transient = true }),
			at(6, 1, record.Running, func(s *record.Sync) { s.Finished = time.Time{} }),
			at(-6, 1, record.Succeeded, nil),
			at(14*24, 1, record.Succeeded, nil),
		}, dora.Period{}},
		"a release with its times": {[]record.Sync{at(1, 10, record.Succeeded, func(s *record.Sync) {
			s.Committed, s.Approval = s.Started.Add(-50*time.Minute), &record.Approval{At: s.Started.Add(time.Minute)}
		})}, dora.Period{Deployments: 1, Releases: 1, PerWeek: .5, Lead: one(60), Approval: one(1), Rollout: one(10)}},
		"approved before the merge": {[]record.Sync{at(1, 10, record.Succeeded, func(s *record.Sync) {
			s.Approval = &record.Approval{At: s.Started.Add(-time.Hour)}
		})}, dora.Period{Deployments: 1, Releases: 1, PerWeek: .5, Approval: one(0), Rollout: one(10)}},
		"rolled back at once": {
			[]record.Sync{at(1, 10, record.RolledBack, func(s *record.Sync) { back(s, 4) })},
			dora.Period{Deployments: 1, Failed: 1, Recovery: one(10), Rollbacks: one(4)},
		},
		"failed, then repaired": {
			[]record.Sync{at(1, 10, record.Failed, nil), at(2, 10, record.Failed, nil), at(3, 10, record.Succeeded, nil)},
			dora.Period{Deployments: 3, Failed: 2, Releases: 1, PerWeek: .5, Recovery: one(130), Rollout: one(10)},
		},
		"still failed": {[]record.Sync{at(1, 10, record.Failed, nil)}, dora.Period{Deployments: 1, Failed: 1, Open: 1}},
		"left later": {
			[]record.Sync{at(1, 10, record.Succeeded, nil), at(9, 10, record.RolledBack, asRollback)},
			dora.Period{Deployments: 1, Failed: 1, Releases: 1, PerWeek: .5, Recovery: one(4), Rollout: one(10), Rollbacks: one(4)},
		},
		"another node of the group failed": {[]record.Sync{at(1, 10, record.RolledBack, func(s *record.Sync) {
			back(s, 4)
			s.Group = &record.Group{Failed: "node4"}
		})}, dora.Period{Deployments: 1, Rollbacks: one(4)}},
	} {
		got := dora.New([]dora.Node{{Name: "node3", Syncs: test.syncs}}, since, until)
		if diff := cmp.Diff(test.want, got.Now); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// one is one duration of some minutes.
func one(minutes float64) dora.Durations {
	return dora.Durations{Count: 1, Mean: 60 * minutes, Median: 60 * minutes, P95: 60 * minutes}
}

// A commit that two nodes run is one release; the goals compare with the period before where
// every history reaches back to its start.
func TestNodesAndPeriods(t *testing.T) {
	const days = 24
	long := []record.Sync{at(-20*days, 1, record.Succeeded, nil), at(-3*days, 20, record.Succeeded, nil), at(1, 10, record.Succeeded, nil), at(9, 10, record.Succeeded, nil)}
	report := dora.New([]dora.Node{{"node4", long}, {"node3", long}}, since, until)
	if report.Before == nil || report.Before.Releases != 1 || report.Now.Releases != 2 || report.Now.Deployments != 4 || !report.Oldest.IsZero() {
		t.Fatalf("got %+v", report)
	}
	verdicts := map[string]string{}
	for i := range report.Results {
		verdicts[report.Results[i].Name] = report.Results[i].Text(report.Results[i].Value) + " " + report.Results[i].Verdict()
	}
	want := map[string]string{
		"deployment frequency": "1.0 per week met", "lead time (median)": "- -", "change failure rate": "0.0 % met", "success rate": "100.0 % met",
		"time to recover (mean)": "- -", "approval time (95 %)": "- -", "deployment time (95 %)": "10m0s met", "rollback time (95 %)": "- -",
	}
	if diff := cmp.Diff(want, verdicts); diff != "" {
		t.Error(diff)
	}
	short := dora.New([]dora.Node{{"node4", long}, {"node3", long[2:]}}, since, until)
	if short.Before != nil || !short.Oldest.Equal(long[2].Started) || !strings.Contains(strings.Join(short.Notes(), " "), "The history begins 2026-02-15T01:00:00Z") {
		t.Errorf("got %+v, %q", short.Before, short.Notes())
	}
}

// The forms have each measure, with the goals that are missed.
func TestForms(t *testing.T) {
	syncs := []record.Sync{at(1, 16, record.Succeeded, nil), at(2, 40, record.RolledBack, func(s *record.Sync) {
		back(s, 6)
		s.Rollback.By = audit.Agent()
	})}
	report := dora.New([]dora.Node{{Name: "node3", Syncs: syncs}}, since, until)
	text, err := report.CSV()
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) != 9 {
		t.Fatalf("%d rows, %v: %s", len(rows), err, text)
	}
	if diff := cmp.Diff([]string{"2026-02-15T00:00:00Z", "2026-03-01T00:00:00Z", "rollback time (95 %)", "360.000", "seconds", "1", "", "under 5m", "false"}, rows[8]); diff != "" {
		t.Error(diff)
	}
	for _, line := range []string{
		"2 deployments of 1 releases to node3; 1 failed.\n", "| change failure rate | 50.0 % | 2 | - | under 5 % | missed |\n",
		"| time to recover (mean) | 40m0s | 1 | - | under 30m | missed |\n", "| deployment time (95 %) | 16m0s | 1 | - | under 15m | missed |\n",
		"| lead time (median) | - | 0 | - | half that of the period before | - |\n",
	} {
		if !strings.Contains(report.Markdown(), line) {
			t.Errorf("%q is not in %s", line, report.Markdown())
		}
	}
}
