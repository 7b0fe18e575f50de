package store_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/internal/memoryfolder"
)

func TestAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := store.Open(memoryfolder.New(t), "sandbox/node3", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = store.Close() }()
		plan := func(commit, plan string) record.Asked {
			t.Helper()
			asked, err := store.Stack(record.OnlyStack).Asked(commit, plan, false)
			if err != nil {
				t.Fatal(err)
			}
			return asked
		}
		plan("a", "1")
		if err := store.Stack(record.OnlyStack).Approve("a", &record.Approval{PlanDigest: "2", By: []string{"ada"}}); err != nil {
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
	dir := memoryfolder.New(t)
	kept := open(t, dir)
	since := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	want := &record.Pause{Actor: audit.Actor{By: audit.ByUser, Name: "ada"}, Reason: "why", Since: since, Until: since.Add(time.Hour)}
	if err := kept.Stack(record.OnlyStack).SavePause(want); err != nil {
		t.Fatal(err)
	}
	shut(t, kept)
	kept = open(t, dir)
	defer shut(t, kept)
	got, err := kept.Stack(record.OnlyStack).Pause()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if got.Over(since.Add(time.Hour-1)) || !got.Over(since.Add(time.Hour)) {
		t.Error("it is over at another time than it says")
	}
	if err := kept.Stack(record.OnlyStack).SavePause(nil); err != nil {
		t.Fatal(err)
	}
	if got, err := kept.Stack(record.OnlyStack).Pause(); got != nil || err != nil {
		t.Errorf("after its end there is %+v, %v", got, err)
	}
}
