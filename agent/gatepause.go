package agent

import (
	"encoding/json"
	"fmt"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/manifests"
)

// paused gives the pause that holds now, or nil.
func (a *Agent) paused() *record.Pause {
	pause := a.snapshot().pause
	if pause == nil || pause.Over(time.Now()) {
		return nil
	}
	return pause
}

// frozen reports whether a freeze of the deployed config.yml applies now. A drift is not
// corrected during a freeze.
func (a *Agent) frozen(deployed *record.GoodState) (bool, error) {
	if deployed == nil || len(deployed.Freezes) == 0 {
		return false, nil
	}
	var freezes []manifests.Freeze
	if err := json.Unmarshal(deployed.Freezes, &freezes); err != nil {
		return false, fmt.Errorf("recall the freezes: %w", err)
	}
	_, frozen := manifests.FrozenBy(freezes, a.Settings.Node, time.Now())
	return frozen, nil
}

// freezes gives the freezes of the sync's config.yml; nil if it has none.
func (r *reconcile) freezes() (json.RawMessage, error) {
	if len(r.node.Config.Freeze) == 0 {
		return nil, nil
	}
	data, err := json.Marshal(r.node.Config.Freeze)
	if err != nil {
		return nil, fmt.Errorf("record freezes: %w", err)
	}
	return data, nil
}
