package record_test

import (
	"slices"
	"testing"

	"coin.internal/coin-agent/agent/record"
)

// TestVaultOf settles the versions of @auto for a commit that waits, is tried again or succeeded,
// and for no commit that failed.
func TestVaultOf(t *testing.T) {
	read := func(version int) []record.VaultRead {
		return []record.VaultRead{{Path: "kv/data/x", Version: version, Auto: true}}
	}
	last := func(state record.State, transient bool) *record.Sync {
		return &record.Sync{Commit: "a", State: state, Transient: transient, Vault: read(7)}
	}
	good := &record.GoodState{Commit: "a", Vault: read(6)}
	for name, test := range map[string]struct {
		last   *record.Sync
		good   *record.GoodState
		commit string
		want   []record.VaultRead
	}{
		"succeeded":       {last(record.Succeeded, false), good, "a", read(7)},
		"waiting":         {last(record.Waiting, false), nil, "a", read(7)},
		"transient":       {last(record.Failed, true), nil, "a", read(7)},
		"failed":          {last(record.Failed, false), nil, "a", nil},
		"another commit":  {last(record.Succeeded, false), good, "b", nil},
		"after a failure": {last(record.Failed, false), good, "a", read(6)},
		"first":           {nil, nil, "a", nil},
	} {
		if got := record.VaultOf(test.last, test.good, test.commit); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}
