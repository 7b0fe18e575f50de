package doctor

import (
	"context"
	"errors"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/policy"
)

// checkPolicy checks that the node has a policy, and that it allows what the repository asks
// for. In production a node must have one.
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
	if err := policy.Err(rules.Judge(policy.Subject{Stack: d.stack, Node: d.node, Engine: d.on.Settings.Engine})); err != nil {
		return "", err
	}
	if rules.Strict {
		return "strict; it allows what the repository asks for", nil
	}
	return "it allows what the repository asks for", nil
}
