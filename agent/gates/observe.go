package gates

import (
	"context"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/manifests"
)

// ObserveText begins what a sync waits for while the agent only observes.
const ObserveText = "observe: would change "

// observe holds every plan of an agent that only observes.
type observe struct{ parts Parts }

func (observe) Name() record.GateName { return record.GateObserve }

func (g observe) Ask(_ context.Context, plan *Plan) (Ruling, error) {
	if !g.parts.Observe {
		return Ruling{}, nil
	}
	return Ruling{Waiting: ObserveText + plan.Intent}, nil
}

func (observe) Next(*record.Sync, record.Gate) string {
	return "`agent diff` shows what would change; to have the agent apply it, remove `mode: observe` from agent.yml and run `systemctl restart coin-agent`"
}

func (g observe) HoldsNewer(*manifests.Config) bool { return g.parts.Observe }
