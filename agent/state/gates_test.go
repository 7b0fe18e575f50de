package state_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/state"
)

func TestAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := state.Open(t.TempDir(), "sandbox/node3")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = store.Close() }()
		plan := func(commit, plan string) state.Asked {
			t.Helper()
			asked, err := store.Asked(commit, plan, false)
			if err != nil {
				t.Fatal(err)
			}
			return asked
		}
		plan("a", "1")
		if err := store.Approve("a", &state.Approval{PlanDigest: "2", By: []string{"ada"}}); err != nil {
			t.Fatal(err)
		}
		if asked := plan("a", "3"); asked.PlanDigest != "1" || asked.Given.PlanDigest != "2" {
			t.Errorf("of the first plan, and the word for the second, there is %+v", asked)
		}
		time.Sleep(91 * 24 * time.Hour)
		plan("b", "1")
		if asked := plan("a", "3"); asked.PlanDigest != "3" || asked.Given != nil {
			t.Errorf("after 91 days there is still %+v", asked)
		}
	})
}

func TestPauseIsKept(t *testing.T) {
	dir := t.TempDir()
	store, err := state.Open(dir, "sandbox/node3")
	if err != nil {
		t.Fatal(err)
	}
	since := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	want := &state.Pause{Actor: audit.Actor{By: audit.ByUser, Name: "ada"}, Reason: "why", Since: since, Until: since.Add(time.Hour)}
	if err := store.SavePause(want); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if store, err = state.Open(dir, "sandbox/node3"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	got, err := store.Pause()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if got.Over(since.Add(time.Hour-1)) || !got.Over(since.Add(time.Hour)) {
		t.Error("it is over at another time than it says")
	}
	if err := store.SavePause(nil); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Pause(); got != nil || err != nil {
		t.Errorf("after its end there is %+v, %v", got, err)
	}
}
