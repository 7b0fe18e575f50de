package drift_test

import (
	"testing"
	"time"

	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
)

// TestContests says, of the minutes at which a field was put back, whether it is contested.
func TestContests(t *testing.T) {
	replicas := record.Correction{Service: "s_web", Field: "Mode.Replicated.Replicas", To: "4"}
	begin := time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		at    []int // minutes
		other int   // minute of a rollout; 0 for none
		now   int
		times int // 0: it is not contested
		again int
	}{
		"never":                       {nil, 0, 1, 0, 0},
		"twice":                       {[]int{1, 2}, 0, 3, 0, 0},
		"three times":                 {[]int{1, 2, 3}, 0, 4, 3, 63},
		"three times in ten minutes":  {[]int{1, 6, 11}, 0, 12, 3, 71},
		"three times in eleven":       {[]int{1, 6, 12}, 0, 13, 0, 0},
		"long after two":              {[]int{1, 2, 30}, 0, 31, 0, 0},
		"still after half an hour":    {[]int{1, 2, 3}, 0, 40, 3, 63},
		"after an hour":               {[]int{1, 2, 3}, 0, 63, 0, 0},
		"undone again after an hour":  {[]int{1, 2, 3, 63}, 0, 64, 4, 123},
		"undone again after hours":    {[]int{1, 2, 3, 63, 124, 185}, 0, 186, 6, 245},
		"calm for hours":              {[]int{1, 2, 3, 200}, 0, 201, 0, 0},
		"another rollout in between":  {[]int{1, 2, 3, 5, 6}, 4, 7, 0, 0},
		"three times after a rollout": {[]int{1, 5, 6, 7}, 4, 8, 3, 67},
		"a rollout afterwards":        {[]int{1, 2, 3}, 4, 5, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			minute := func(n int) time.Time { return begin.Add(time.Duration(n) * time.Minute) }
			var syncs []record.Sync // the newest first
			for n := test.now; n >= 0; n-- {
				for _, at := range test.at {
					if at == n {
						syncs = append(syncs, record.Sync{Trigger: record.OnDrift, Wrote: true, Started: minute(at), Corrects: []record.Correction{replicas}})
					}
				}
				if n > 0 && n == test.other {
					syncs = append(syncs, record.Sync{Trigger: record.OnCommit, Wrote: true, Started: minute(n)})
				}
				syncs = append(syncs, record.Sync{Trigger: record.OnRequest, Started: minute(n)}) // wrote nothing
			}
			drifted := []deploy.Step{
				{Action: deploy.Update, Name: "s_web", Changes: []deploy.Change{{Path: "Mode.Replicated.Replicas", Old: "9", New: "4"}}},
				{Action: deploy.Update, Name: "s_app", Changes: []deploy.Change{{Path: "Mode.Replicated.Replicas", Old: "9", New: "4"}}},
			}
			got := drift.Held(drift.Of(drift.Contests(syncs, minute(test.now)), drifted), minute(test.now))
			switch {
			case test.times == 0 && len(got) > 0, test.times > 0 && len(got) != 1:
				t.Errorf("contested: %+v", got)
			case test.times > 0 && (got[0].Times != test.times || !got[0].Again.Equal(minute(test.again)) || got[0].Service != "s_web"):
				t.Errorf("got %+v, want %d times, again at %s", got[0], test.times, minute(test.again))
			}
		})
	}
}
