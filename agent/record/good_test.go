package record_test

import (
	"testing"

	"coin.internal/coin-agent/agent/record"
)

// A disturbed rollback is not fit itself. The state that it returned to is, and comes before those
// that it left.
func TestNewestFit(t *testing.T) {
	const unfit = "another process changed it"
	for name, test := range map[string]struct {
		good []record.GoodState // the newest first
		want int
	}{
		"none":                         {nil, -1},
		"all are unfit":                {[]record.GoodState{{SyncID: 2, Unfit: unfit}, {SyncID: 1, Unfit: unfit}}, -1},
		"the newest":                   {[]record.GoodState{{SyncID: 2}, {SyncID: 1}}, 0},
		"the one before":               {[]record.GoodState{{SyncID: 2, Unfit: unfit}, {SyncID: 1}}, 1},
		"a rollback":                   {[]record.GoodState{{SyncID: 3, Of: 1}, {SyncID: 2}, {SyncID: 1}}, 0},
		"a disturbed rollback":         {[]record.GoodState{{SyncID: 3, Of: 1, Unfit: unfit}, {SyncID: 2}, {SyncID: 1}}, 2},
		"a release after it":           {[]record.GoodState{{SyncID: 4}, {SyncID: 3, Of: 1, Unfit: unfit}, {SyncID: 2}, {SyncID: 1}}, 0},
		"an unfit release after it":    {[]record.GoodState{{SyncID: 4, Unfit: unfit}, {SyncID: 3, Of: 1, Unfit: unfit}, {SyncID: 2}, {SyncID: 1}}, 3},
		"what it left alone is fit":    {[]record.GoodState{{SyncID: 3, Of: 1, Unfit: unfit}, {SyncID: 2}, {SyncID: 1, Unfit: unfit}}, 1},
		"it returned to one that went": {[]record.GoodState{{SyncID: 3, Of: 1, Unfit: unfit}, {SyncID: 2}}, 1},
	} {
		if got := record.NewestFit(test.good); got != test.want {
			t.Errorf("%s: place %d, want %d", name, got, test.want)
		}
	}
}
