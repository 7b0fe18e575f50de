package board_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/board"
	"coin.internal/coin-agent/agent/events"
	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/metrics"
	"coin.internal/coin-agent/agent/record"
)

// recorded are the records of a stack with some syncs.
type recorded []record.Sync

func (recorded) Deployed() (*record.GoodState, error) { return nil, nil }
func (recorded) Pause() (*record.Pause, error)        { return nil, nil }
func (r recorded) LatestSync(is func(*record.Sync) bool) (*record.Sync, error) {
	for i := range r {
		if is(&r[i]) {
			return &r[i], nil
		}
	}
	return nil, nil
}
func (recorded) SaveOutcome(*record.Sync, *record.GoodState) error { return nil }

// heard are the kinds of the events that were published.
type heard []events.Kind

func (h *heard) Publish(event events.Event) { *h = append(*h, event.Kind) }

// A restart does not publish the outcome of an old sync again; a new outcome is published.
func TestRecall(t *testing.T) {
	const commit = "0123456789abcdef0123456789abcdef01234567"
	second := record.Sync{ID: 2, Commit: commit, State: record.Failed}
	for name, syncs := range map[string]recorded{
		"two":     {second, {ID: 1, Commit: commit, State: record.Succeeded}},
		"waiting": {{ID: 2, Commit: commit, State: record.Waiting, Waiting: "for approval"}, {ID: 1, Commit: commit, State: record.Failed}},
		"none":    nil,
	} {
		told := heard{}
		b := &board.Board{
			Records: syncs, Metrics: metrics.New("sandbox", "node3", "1").Stack("", metrics.Source{}), Log: slog.New(slog.DiscardHandler), Events: &told,
		}
		if err := b.Recall(); err != nil {
			t.Fatal(err)
		}
		if len(told) > 0 {
			t.Errorf("%s: a restart publishes %v", name, told)
		}
		if last := b.Snapshot().Last; len(syncs) > 0 && (last == nil || last.ID != 2 || last.State != syncs[0].State) {
			t.Errorf("%s: recalled %+v", name, last)
		}
		if err := b.Save(&record.Sync{ID: 3, Commit: commit, State: record.Succeeded}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(heard{events.Outcome}, told); diff != "" {
			t.Errorf("%s: a new sync (-want +got):\n%s", name, diff)
		}
	}
}

// The health that a look saw before another good state was deployed is not that of its services.
func TestJudged(t *testing.T) {
	now := time.Now()
	degraded := health.Verdict{State: health.Degraded}
	for name, test := range map[string]struct {
		view board.View
		want *health.Verdict
	}{
		"before the first look":              {board.View{Deployed: &record.GoodState{At: now}}, nil},
		"a look before another was deployed": {board.View{Deployed: &record.GoodState{At: now}, Health: degraded, Observed: now.Add(-time.Second)}, nil},
		"a look after it":                    {board.View{Deployed: &record.GoodState{At: now}, Health: degraded, Observed: now}, &degraded},
		"nothing was deployed yet":           {board.View{Health: degraded, Observed: now}, &degraded},
	} {
		if diff := cmp.Diff(test.want, test.view.Judged()); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// After another good state was deployed, the health of the services before it is no longer shown:
// not even between the look that reads the services and its judgement.
func TestHealthOfAnotherState(t *testing.T) {
	before := time.Now().Add(-time.Minute)
	for name, test := range map[string]struct {
		deployed time.Time
		want     health.State
	}{
		"the same state":     {before.Add(-time.Hour), health.Degraded},
		"deployed meanwhile": {before.Add(time.Second), ""},
	} {
		t.Run(name, func(t *testing.T) {
			view := board.View{Observed: before, Health: health.Verdict{State: health.Degraded}, Deployed: &record.GoodState{At: test.deployed}}
			view.Saw(nil, nil, nil)
			got := health.State("")
			if judged := view.Judged(); judged != nil {
				got = judged.State
			}
			if got != test.want {
				t.Errorf("health %q, want %q", got, test.want)
			}
		})
	}
}
