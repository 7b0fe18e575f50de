package gates

import (
	"context"
	"fmt"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/manifests"
)

// freeze holds every rollout in a freeze of config.yml, unless a user has decided for this
// sync that it does not hold.
type freeze struct{ parts Parts }

func (freeze) Name() record.GateName { return record.GateFreeze }

func (g freeze) Ask(_ context.Context, plan *Plan) (Ruling, error) {
	frozen, is := plan.Config.Frozen(g.parts.Node, time.Now())
	if !is {
		return Ruling{}, nil
	}
	if override := plan.Sync.Override; override != nil && g.meant(plan.Config, override.At) {
		return Ruling{Passed: fmt.Sprintf("freeze %s overridden by %s: %s", frozen.Name, override.Actor, override.Reason)}, nil
	}
	return Ruling{
		Waiting: fmt.Sprintf("frozen until %s: %s", Clock(frozen.Until, time.Now()), frozen.Name),
		Until:   frozen.Until, Unattended: true,
	}, nil
}

// meant reports whether an override that was given at a time counts now: not once the freeze that
// held then is over.
func (g freeze) meant(config *manifests.Config, given time.Time) bool {
	then, frozen := config.Frozen(g.parts.Node, given)
	return !frozen || time.Now().Before(then.Until)
}

func (freeze) Next(*record.Sync, record.Gate) string { return "" }

func (g freeze) HoldsNewer(config *manifests.Config) bool {
	_, frozen := config.Frozen(g.parts.Node, time.Now())
	return frozen
}
