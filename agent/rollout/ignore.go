package rollout

import (
	"encoding/json"
	"time"

	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// ignore gives a stack with the ignored fields of the present. Their live values stay, unless
// this deployment declares another value than the one before, or unverified changes of one are
// deployed.
func (a *attempt) ignore(stack *compose.Stack) (*compose.Stack, error) {
	stack = deploy.IgnoreAt(stack, time.Now())
	a.ignored = stack.Ignored
	if len(stack.Ignored) == 0 || a.base.Deployed == nil {
		return stack, nil
	}
	before, err := drift.Applied(a.base.Deployed)
	if err != nil {
		return nil, err
	}
	var written []deploy.RecordedPlan
	for _, sync := range []*record.Sync{a.base.Last, a.sync} {
		var plan deploy.RecordedPlan
		if sync.Dirty() != 0 && sync.Wrote && json.Unmarshal(sync.Plan, &plan) == nil {
			written = append(written, plan)
		}
	}
	return deploy.IgnoreUnchanged(stack, before, written), nil
}
