package simulation_test

import (
	"slices"
	"strings"
	"time"
)

// The oracle's own reading of who judges a commit: the config.yml of the last good revision
// and its own, and after a rollback still that of the revision that was left.

// checkGates demands that no sync wrote, and that no commit lifted a gate, without passing the
// gates of those who judge it.
func (w *world) checkGates(syncs []attempt) {
	var good release
	var deployed *release
	for _, one := range slices.Backward(syncs) {
		own := w.git.commits[one.Commit].wants
		if wrong := unjudged(&one, good, own, deployed); wrong != "" {
			w.fail("sync %d of %s %s", one.ID, one.Commit[:10], wrong)
		}
		switch one.State {
		case "succeeded":
			good, deployed = own, &own
		case "rolled_back":
			to := w.git.commits[one.Rollback.Commit].wants
			deployed = &to // the rules stay: a rollback lifts no gate
		}
	}
	last := syncs[0]
	gated := strings.Contains(last.Waiting, "paused by") // which may have ended since the last look
	// A commit that is not the head may wait for the adoption of an intruder that has gone since.
	gated = gated || (w.intruder || last.Commit != w.git.head.hash) && strings.Contains(last.Waiting, "adoption is required")
	for _, one := range syncs {
		wants := w.git.commits[one.Commit].wants
		gated = gated || wants.manual || wants.approval || !wants.frozen.IsZero()
	}
	if last.State == "waiting" && !gated {
		w.fail("%s waits, and no config.yml has a gate: %s", last.Commit[:10], last.Waiting)
	}
}

// unjudged says which gate a sync did not pass; "" for none. Deployed is the release that ran
// before, nil for none.
func unjudged(one *attempt, good, own release, deployed *release) string {
	if one.Trigger == "drift" || one.Trigger == "rollback" || one.Unchanged {
		return "" // what was judged before
	}
	at := one.Entered["apply"]
	loosens := good.manual && !own.manual || good.approval && !own.approval || good.frozen.After(own.frozen) && good.frozen.After(at)
	wrote := one.Wrote && len(one.Plan.Steps) > 0 // and not only its rollback did
	if at.IsZero() || !wrote && (one.State != "succeeded" || !loosens) {
		return "" // nothing was written, or only by the rollback of an earlier sync
	}
	putsBack := deployed != nil && deployed.same(own) && !loosens
	switch {
	case (good.approval || own.approval) && one.Approval == nil && !putsBack:
		return "was not approved"
	case (good.manual || own.manual) && one.Trigger == "commit":
		return "was not asked for by a user"
	case at.Before(good.frozen) || at.Before(own.frozen):
		return "was applied during a freeze"
	}
	return ""
}

// letPass has a user let a sync pass that waits, half of the time.
func (w *world) letPass() {
	if len(w.wrong) > 0 || w.process.parts.look().state != "waiting" || w.random.IntN(2) == 0 {
		return
	}
	w.note("a user lets it pass")
	w.ask("approve")
	w.pass(time.Second)
	w.ask("sync")
	w.settle()
}
