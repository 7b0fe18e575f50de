package gates

import (
	"context"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/manifests"
)

// release asks whether the release, and what it needs on this node, is ready for a rollout
// (config.yml's deployment.gates). The correction of a drift returns to what was verified,
// and asks for nothing, unless the drift is that a tag was moved.
type release struct{ parts Parts }

func (release) Name() record.GateName { return record.GateRelease }

func (g release) Ask(ctx context.Context, plan *Plan) (Ruling, error) {
	if plan.Sync.Trigger == record.OnDrift && !plan.Moved {
		return Ruling{Passed: "returns to what was verified"}, nil
	}
	return g.parts.Release(ctx)
}

func (release) Next(*record.Sync, record.Gate) string {
	return "`agent doctor` shows what is missing; it is asked again by itself"
}

func (release) HoldsNewer(*manifests.Config) bool { return false }
