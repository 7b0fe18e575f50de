package gates

import (
	"context"
	"fmt"

	"coin.internal/coin-agent/agent/consent"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/manifests"
)

// adoption waits for a user's `agent adopt` where a rollout would take over another stack, or
// objects that this agent did not make.
type adoption struct{ parts Parts }

func (adoption) Name() record.GateName { return record.GateAdoption }

func (g adoption) Ask(_ context.Context, plan *Plan) (Ruling, error) {
	asked := plan.Sync.Takes
	if asked == nil {
		return Ruling{}, nil
	}
	given, err := g.parts.Records.Consent()
	if err != nil {
		return Ruling{}, fmt.Errorf("recall the consent to adopt: %w", err)
	}
	if given.Covers(asked) {
		return Ruling{Passed: ConsentText(given)}, nil
	}
	why := ""
	if given != nil && given.To.Stack == asked.Stack {
		why = fmt.Sprintf(" (%s adopted something else)", given.Actor)
	}
	return Ruling{Waiting: fmt.Sprintf("adoption is required: %s%s; on the node: `agent adopt`", consent.Text(asked), why)}, nil
}

func (adoption) Next(*record.Sync, record.Gate) string {
	return "`agent adopt` shows the plan and asks; to leave these objects alone, give the node another stack name in config.yml"
}

// HoldsNewer reports whether the newer config.yml names another stack.
func (g adoption) HoldsNewer(config *manifests.Config) bool {
	kept, err := g.parts.Records.Adoption()
	node, known := config.Node(g.parts.Node)
	return err == nil && kept != nil && known && node.Stack != kept.Stack
}

// ConsentText says in a line who has adopted a stack.
func ConsentText(given *record.Consent) string {
	text := "adopted by " + given.Actor.String()
	if given.Reason != "" {
		text += ": " + given.Reason
	}
	return text
}
