package record_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/record"
)

// A sync counts once, when it is over, and its rollback once, when that is.
func TestTotals(t *testing.T) {
	at := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	rollout := record.Sync{
		Trigger: record.OnCommit, State: record.Running, Wrote: true, Committed: at.Add(-time.Hour), Started: at.Add(-2 * time.Hour),
		Seconds: map[record.Stage]float64{record.StagePlan: 5, record.StageApply: 30}, Entered: map[record.Stage]time.Time{record.StageApply: at},
	}
	over := func(change func(*record.Sync)) *record.Sync {
		sync := rollout
		sync.Finished = at.Add(time.Minute)
		change(&sync)
		return &sync
	}
	succeeded := over(func(s *record.Sync) { s.State = record.Succeeded })
	degraded := over(func(s *record.Sync) { s.State, s.Degraded = record.Succeeded, "api" })
	transient := over(func(s *record.Sync) { s.State, s.Transient = record.Failed, true })
	failed := over(func(s *record.Sync) { s.State = record.Failed })
	back := record.Rollback{Started: at, Finished: at.Add(20 * time.Second)}
	rolledBack := over(func(s *record.Sync) { s.State, s.Rollback = record.RolledBack, &back })
	resumed := over(func(s *record.Sync) {
		taken := back
		taken.Resumed = at
		s.State, s.Rollback = record.RolledBack, &taken
	})
	refused := over(func(s *record.Sync) {
		s.State, s.Rollback = record.Succeeded, &record.Rollback{Started: at, Finished: at, Refused: "migrations"}
	})
	unchanged := over(func(s *record.Sync) { s.State, s.Wrote = record.Succeeded, false })
	sums := func(result record.Result) map[record.Result]map[record.Trigger]uint64 {
		return map[record.Result]map[record.Trigger]uint64{result: {record.OnCommit: 1}}
	}
	minute := record.Histogram{Count: 1, Sum: 65, Buckets: []uint64{0, 0, 0, 1, 1, 1, 1, 1, 1}}
	lead := record.Histogram{Count: 1, Sum: 3660, Buckets: []uint64{0, 0, 0, 0, 1, 1, 1, 1, 1, 1}}
	success := record.Totals{Syncs: sums(record.ResultSucceeded), Rollout: minute, Lead: lead}
	again := success
	again.Rollbacks = map[record.RollbackResult]uint64{record.RollbackRefused: 1}
	returned := record.Totals{
		Syncs: sums(record.ResultRolledBack), Rollbacks: map[record.RollbackResult]uint64{record.RollbackDone: 1},
		Rollback: record.Histogram{Count: 1, Sum: 20, Buckets: []uint64{0, 1, 1, 1, 1, 1, 1, 1, 1}},
	}
	for name, test := range map[string]struct {
		saved []*record.Sync
		want  record.Totals
	}{
		"not over":                  {[]*record.Sync{&rollout, &rollout}, record.Totals{}},
		"succeeded":                 {[]*record.Sync{&rollout, succeeded, degraded, succeeded}, success},
		"tried again":               {[]*record.Sync{&rollout, transient, &rollout, succeeded}, success},
		"failed":                    {[]*record.Sync{&rollout, failed}, record.Totals{Syncs: sums(record.ResultFailed)}},
		"rolled back":               {[]*record.Sync{&rollout, rolledBack, resumed}, returned},
		"a rollback is refused":     {[]*record.Sync{succeeded, refused, refused}, again},
		"nothing to write":          {[]*record.Sync{unchanged}, record.Totals{Syncs: sums(record.ResultUnchanged)}},
		"first seen when it's over": {[]*record.Sync{rolledBack}, returned},
	} {
		var got record.Totals
		var before *record.Sync
		for _, sync := range test.saved {
			got.Take(before, sync)
			before = sync
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// A commit of a clock that is ahead has no negative lead time, and a manual sync has none.
func TestLeadTime(t *testing.T) {
	at := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		committed time.Time
		trigger   record.Trigger
		want      time.Duration
	}{{at.Add(-time.Hour), record.OnCommit, time.Hour}, {at.Add(time.Hour), record.OnCommit, 0}, {time.Time{}, record.OnCommit, 0}, {at.Add(-time.Hour), record.OnRequest, 0}} {
		sync := record.Sync{State: record.Succeeded, Wrote: true, Finished: at, Committed: test.committed, Trigger: test.trigger}
		if got := record.LeadTimeOf(&sync); got != test.want {
			t.Errorf("%s %s: %s, want %s", test.trigger, test.committed, got, test.want)
		}
	}
}
