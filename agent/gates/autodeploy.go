package gates

import (
	"context"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/manifests"
)

// autoDeploy waits for `agent sync` on the node where config.yml says auto_deploy: false.
// That starts the waiting rollout; it does not replace an approval.
type autoDeploy struct{}

func (autoDeploy) Name() record.GateName { return record.GateAutoDeploy }

func (autoDeploy) Ask(_ context.Context, plan *Plan) (Ruling, error) {
	if plan.Sync.Trigger == record.OnCommit && !plan.Config.Deployment.AutoDeploy {
		return Ruling{Waiting: "auto_deploy is off; `agent sync` on the node rolls it out"}, nil
	}
	return Ruling{}, nil
}

func (autoDeploy) Next(*record.Sync, record.Gate) string {
	return "`agent diff` shows the plan, `agent sync` rolls it out"
}

func (autoDeploy) HoldsNewer(config *manifests.Config) bool { return !config.Deployment.AutoDeploy }
