package rollout

import (
	"encoding/json"
	"fmt"
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
	if len(stack.Ignored) == 0 {
		return stack, nil
	}
	before := &compose.Stack{}
	if deployed := a.base.Deployed; deployed != nil {
		var err error
		if before, err = drift.Applied(deployed); err != nil {
			return nil, err
		}
	}
	syncs, err := a.use.Records.SyncsUntil((*record.Sync).Verified)
	if err != nil {
		return nil, fmt.Errorf("recall what was written: %w", err)
	}
	var written []deploy.RecordedPlan
	note := func(wrote bool, recorded json.RawMessage) {
		var plan deploy.RecordedPlan
		if wrote && json.Unmarshal(recorded, &plan) == nil {
			written = append(written, plan)
		}
	}
	for _, sync := range syncs {
		note(sync.Wrote, sync.Plan)
		if sync.Rollback != nil {
			note(sync.Rollback.Wrote, sync.Rollback.Plan)
		}
	}
	return deploy.IgnoreUnchanged(stack, before, written), nil
}

// ignoredFields gives all fields that another process may change as a good state has them.
func ignoredFields(a *attempt) (json.RawMessage, error) {
	if len(a.ignored) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(a.ignored)
	if err != nil {
		return nil, fmt.Errorf("record the ignored fields: %w", err)
	}
	return text, nil
}
