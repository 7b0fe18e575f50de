package gates

import (
	"context"
	"fmt"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/manifests"
)

// pause holds every rollout while a user has paused the agent, also one that a user asks
// for.
type pause struct{ parts Parts }

func (pause) Name() record.GateName { return record.GatePause }

func (g pause) Ask(context.Context, *Plan) (Ruling, error) {
	paused := g.parts.Paused()
	if paused == nil {
		return Ruling{}, nil
	}
	return Ruling{Waiting: PauseText(paused), Until: paused.Until, Unattended: !paused.Until.IsZero()}, nil
}

func (pause) Next(*record.Sync, record.Gate) string { return "`agent resume` ends the pause" }

func (g pause) HoldsNewer(*manifests.Config) bool { return g.parts.Paused() != nil }

// PauseText says who paused the agent, until when and why.
func PauseText(paused *record.Pause) string {
	if paused.Until.IsZero() {
		return fmt.Sprintf("paused by %s: %s", paused.Actor, paused.Reason)
	}
	return fmt.Sprintf("paused by %s until %s: %s", paused.Actor, Clock(paused.Until.Local(), time.Now()), paused.Reason)
}

// Clock gives a future time in its own time zone, as short as it is clear.
func Clock(at, now time.Time) string {
	now = now.In(at.Location())
	switch day := at.YearDay() == now.YearDay() && at.Year() == now.Year(); {
	case day:
		return at.Format("15:04 MST")
	case at.Sub(now) < 6*24*time.Hour:
		return at.Format("Mon 15:04 MST")
	}
	return at.Format("Mon 2006-01-02 15:04 MST")
}
