package removal

import (
	"fmt"
	"time"

	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/manifests"
)

// Held says until when a freeze holds the removal of a stack of the node; "" without one. Those
// count that are on record of the node's stacks, and those of configurations that may not be
// rolled out yet: of the config.yml that was read last, and of the node's policy. A user can override
// them all.
func Held(one record.LeftStack, node string, states []*record.GoodState, configs ...*manifests.Config) string {
	if one.Freeze != nil {
		return ""
	}
	last, now := manifests.Frozen{}, time.Now()
	note := func(found manifests.Frozen, is bool) {
		if is && found.Until.After(last.Until) {
			last = found
		}
	}
	for _, state := range states {
		found, is, err := rollout.Frozen(state, node)
		if err != nil {
			return "the removal waits: " + err.Error()
		}
		note(found, is)
	}
	for _, config := range configs {
		if config != nil {
			note(config.Frozen(node, now))
		}
	}
	if last.Until.IsZero() {
		return ""
	}
	return fmt.Sprintf("the removal waits: frozen until %s: %s; `agent approve %s --stack %s --override-freeze --reason …` does not wait",
		gates.Clock(last.Until, now), last.Name, record.Short(one.Commit), one.Key)
}
