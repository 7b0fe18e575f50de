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
func (p Parts) pause(context.Context, *Plan) (Ruling, error) {
	paused := p.Paused()
	if paused == nil {
		return Ruling{}, nil
	}
	return Ruling{Waiting: PauseText(paused), Until: paused.Until, Unattended: !paused.Until.IsZero()}, nil
}

// PauseText says who paused the agent, until when and why.
func PauseText(paused *record.Pause) string {
	if paused.Until.IsZero() {
		return fmt.Sprintf("paused by %s: %s", paused.Actor, paused.Reason)
	}
	return fmt.Sprintf("paused by %s until %s: %s", paused.Actor, Clock(paused.Until.Local(), time.Now()), paused.Reason)
}

// freeze holds every rollout in a freeze of config.yml, unless a user has decided for this
// sync that it does not hold.
func (p Parts) freeze(_ context.Context, plan *Plan) (Ruling, error) {
	frozen, is := plan.Config.Frozen(p.Node, time.Now())
	if !is {
		return Ruling{}, nil
	}
	if override := plan.Sync.Override; override != nil {
		return Ruling{Passed: fmt.Sprintf("freeze %s overridden by %s: %s", frozen.Name, override.Actor, override.Reason)}, nil
	}
	return Ruling{
		Waiting: fmt.Sprintf("frozen until %s: %s", Clock(frozen.Until, time.Now()), frozen.Name),
		Until:   frozen.Until, Unattended: true,
	}, nil
}

func (p Parts) frozen(config *manifests.Config) bool {
	_, frozen := config.Frozen(p.Node, time.Now())
	return frozen
}

// autoDeploy waits for `agent sync` on the node where config.yml says auto_deploy: false.
// That starts the waiting rollout; it does not replace an approval.
func autoDeploy(_ context.Context, plan *Plan) (Ruling, error) {
	if plan.Sync.Trigger == record.OnCommit && !plan.Config.Deployment.AutoDeploy {
		return Ruling{Waiting: "auto_deploy is off; `agent sync` on the node rolls it out"}, nil
	}
	return Ruling{}, nil
}

// release asks whether the release, and what it needs on this node, is ready for a rollout
// (config.yml's deployment.gates). The correction of a drift returns to what was verified,
// and asks for nothing.
func (p Parts) release(ctx context.Context, plan *Plan) (Ruling, error) {
	if plan.Sync.Trigger == record.OnDrift {
		return Ruling{Passed: "returns to what was verified"}, nil
	}
	return p.Release(ctx)
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
