package doctor

import (
	"context"
	"errors"
	"slices"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/policy"
)

// checkPolicy checks that the node has a policy, and that it allows what the repository asks
// for in each stack. In production a node must have one.
func (d *doctor) checkPolicy(context.Context) (string, error) {
	rules := d.on.Settings.Policy
	if rules == nil {
		missing := fault.WithHint(errors.New(policy.Warning), "run `agent policy suggest`, and paste what it prints into agent.yml")
		if d.node != nil && d.node.Config.Environment.Type == manifests.Production {
			return "", missing
		}
		return "", doubt{missing}
	}
	if d.stack == nil {
		return "", errSkipped("the manifests")
	}
	var refusals []policy.Refusal
	for _, one := range append(slices.Clone(d.others), desired.Rendered{State: d.opened, Stack: d.stack}) {
		refusals = append(refusals, rules.Judge(policy.Subject{Stack: one.Stack, Node: one.State.Node, Engine: d.on.Settings.Engine})...)
	}
	if err := policy.Err(refusals); err != nil {
		return "", err
	}
	if rules.Strict {
		return "strict; it allows what the repository asks for", nil
	}
	return "it allows what the repository asks for", nil
}
