package simulation_test

import "testing"

// TestVerdict tests the oracle's judgement of a last sync by itself: a wrong judgement
// would hide a defect, or report one that is none.
func TestVerdict(t *testing.T) {
	lost := attempt{State: "failed", Stage: "apply", Error: "list tasks: the engine did not answer in time", Transient: true}
	held := attempt{State: "failed", Stage: "verify", Error: "service s_web: unhealthy"}
	sour := release{trouble: sours, automatic: true}
	good := attempt{State: "succeeded", Degraded: "web (exit 3)"}
	for want, one := range map[string]struct {
		last    attempt
		now     seen
		meddled bool
	}{
		"a release that does not stay healthy is not degraded":         {last: attempt{State: "succeeded"}},
		"a rollback can return to a release that did not stay healthy": {last: good},
		"a release that did not stay healthy is not rolled back":       {last: good, now: seen{unfit: "web"}},
		"": {last: good, now: seen{unfit: "web", paused: true}},
	} {
		if got := soaked(&one.last, sour, one.now, one.meddled); got != want {
			t.Errorf("got %q, want %q", got, want)
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
		{"a sound release failed", held, sound, false, false, "a sound release failed: verify: service s_web: unhealthy"},
		{"a user changed the engine", held, sound, true, false, ""},
		{"a bad release failed", held, sick, false, false, ""},
		{"a transient failure is tried again", lost, sound, false, false, "a transient failure is not tried again: apply: " + lost.Error},
		{"the branch was rewritten before the next attempt", lost, sound, false, true, ""},
		{"a sound release failed, and the branch was rewritten", held, sound, false, true, "a sound release failed: verify: service s_web: unhealthy"},
		{"a user rolls back", attempt{State: "failed", Error: "unhealthy", Trigger: "rollback"}, sound, false, false, ""},
		{"no reason", attempt{State: "failed"}, sick, false, false, "a sync failed without a reason"},
		{"no gate", attempt{State: "waiting"}, sound, false, false, "a sync waits for nothing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := verdict(&test.last, release{trouble: test.trouble}, test.meddled, test.refused); got != test.want {
				t.Errorf("verdict is %q, want %q", got, test.want)
			}
		})
	}
}
