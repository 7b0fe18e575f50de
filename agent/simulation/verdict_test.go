package simulation_test

import (
	"encoding/json"
	"testing"
	"time"
)

// TestVerdict tests the oracle's judgement of a last sync by itself: a wrong judgement
// would hide a defect, or report one that is none.
func TestVerdict(t *testing.T) {
	lost := attempt{State: "failed", Stage: "apply", Error: "list tasks: the engine did not answer in time", Transient: true}
	held := attempt{State: "failed", Stage: "verify", Error: "service s_web: unhealthy"}
	good := attempt{State: "succeeded", Degraded: "web (exit 3)"}
	for _, one := range []struct {
		wants   trouble
		last    attempt
		now     seen
		meddled bool
		want    string
	}{
		{wants: sours, last: attempt{State: "succeeded"}, want: "a release that does not stay healthy is not degraded"},
		{wants: sours, last: good, want: "a rollback can return to a release that did not stay healthy"},
		{wants: sours, last: good, now: seen{unfit: "web"}, want: "a release that did not stay healthy is not rolled back"},
		{wants: sours, last: good, now: seen{unfit: "web", paused: true}},
		{wants: sours, last: attempt{State: "succeeded"}, meddled: true},
		{wants: sick, last: attempt{State: "succeeded"}, meddled: true, want: "a rollback can return to a release that is sick"},
		{wants: sick, last: attempt{State: "succeeded"}, meddled: true, now: seen{unfit: "web"}},
	} {
		if got := unproven(&one.last, release{trouble: one.wants, automatic: true}, one.now, one.meddled); got != one.want {
			t.Errorf("got %q, want %q", got, one.want)
		}
	}
	for _, test := range []struct {
		name             string
		last             attempt
		trouble          trouble
		meddled, refused bool
		want             string
	}{
		{"a sound release succeeded", attempt{State: "succeeded"}, sound, false, false, ""},
		{"a bad release succeeded", attempt{State: "succeeded"}, sick, false, false, "a release that is sick succeeded"},
		{"a user changed a bad release", attempt{State: "succeeded"}, sick, true, false, ""},
		{"a sound release failed", held, sound, false, false, "a sound release failed: verify: service s_web: unhealthy"},
		{"a user changed the engine", held, sound, true, false, ""},
		{"a bad release failed", held, sick, false, false, ""},
		{"a transient failure is tried again", lost, sound, false, false, "a transient failure is not tried again: apply: " + lost.Error},
		{"the branch was rewritten before the next attempt", lost, sound, false, true, ""},
		{"a sound release failed, and the branch was rewritten", held, sound, false, true, "a sound release failed: verify: service s_web: unhealthy"},
		{"a user rolls back", attempt{State: "failed", Error: "unhealthy", Trigger: "rollback"}, sound, false, false, ""},
		{"no rollback", attempt{State: "failed", Error: "unhealthy", Wrote: true}, sick, false, false, "a release that failed after its first write is not rolled back"},
		{"no reason", attempt{State: "failed"}, sick, false, false, "a sync failed without a reason"},
		{"no gate", attempt{State: "waiting"}, sound, false, false, "a sync waits for nothing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := verdict(&test.last, release{trouble: test.trouble, automatic: true}, test.meddled, test.refused); got != test.want {
				t.Errorf("verdict is %q, want %q", got, test.want)
			}
		})
	}
}

// TestUnjudged tests the oracle's judgement of the gates by itself.
func TestUnjudged(t *testing.T) {
	now := time.Date(2000, 1, 1, 12, 0, 0, 0, time.UTC)
	entered := map[string]time.Time{"apply": now}
	wrote := attempt{State: "succeeded", Trigger: "commit", Wrote: true, Entered: entered}
	wrote.Plan.Steps = []struct{}{{}}
	back := attempt{State: "rolled_back", Trigger: "commit", Wrote: true, Entered: entered}
	alone := attempt{State: "succeeded", Trigger: "commit", Entered: entered}
	approved := wrote
	approved.Approval = &struct{}{}
	asked := wrote
	asked.Trigger = "manual"
	for name, test := range map[string]struct {
		one       attempt
		good, own release
		want      string
	}{
		"no gate":                  {wrote, release{}, release{}, ""},
		"only rolled back":         {back, release{}, release{approval: true}, ""},
		"own approval":             {wrote, release{}, release{approval: true}, "was not approved"},
		"approval lifted":          {wrote, release{approval: true}, release{}, "was not approved"},
		"approval lifted, alone":   {alone, release{approval: true}, release{}, "was not approved"},
		"approved":                 {approved, release{approval: true}, release{}, ""},
		"manual lifted":            {wrote, release{manual: true}, release{}, "was not asked for by a user"},
		"asked for":                {asked, release{manual: true}, release{}, ""},
		"freeze lifted":            {wrote, release{frozen: now.Add(time.Hour)}, release{}, "was applied during a freeze"},
		"freeze that was over":     {wrote, release{frozen: now.Add(-time.Hour)}, release{}, ""},
		"tightened alone":          {alone, release{}, release{approval: true, manual: true}, ""},
		"lifted by a drift's sync": {attempt{State: "succeeded", Trigger: "drift", Wrote: true, Entered: entered}, release{approval: true}, release{}, ""},
	} {
		if got := unjudged(&test.one, test.good, test.own, nil); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

// TestBackTooFar tests the oracle's judgement of a rollback of a stack that was removed before.
func TestBackTooFar(t *testing.T) {
	const back = `{"state": "rolled_back", "commit": "new", "rollback": {"commit": "old"}}`
	for _, test := range []struct {
		name, syncs string // the newest first
		wrong       bool
	}{
		{"never removed", back + `, {"state": "failed", "commit": "bad"}, {"state": "succeeded", "commit": "old"}`, false},
		{"removed since", back + `, {"state": "superseded", "commit": "off"}, {"state": "succeeded", "commit": "old"}`, true},
		{"removed before", back + `, {"state": "succeeded", "commit": "old"}, {"state": "superseded", "commit": "off"}`, false},
		{"not rolled back", `{"state": "failed", "commit": "new"}, {"state": "superseded", "commit": "off"}`, false},
	} {
		var syncs []attempt
		err := json.Unmarshal([]byte("["+test.syncs+"]"), &syncs)
		if got := backTooFar(syncs, func(commit string) bool { return commit != "off" }); err != nil || (got != "") != test.wrong {
			t.Errorf("%s: got %q, %v", test.name, got, err)
		}
	}
}
