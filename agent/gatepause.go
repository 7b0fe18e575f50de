package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
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

// gatePause lets no rollout begin while a person has paused the agent, not even one
// that a person asks for.
func (r *reconcile) gatePause(context.Context) (ruling, error) {
	pause := r.paused()
	if pause == nil {
		return ruling{}, nil
	}
	return ruling{waiting: report.PauseText(pause, time.Now()), until: pause.Until, unattended: !pause.Until.IsZero()}, nil
}

// gateFreeze lets no rollout begin in a freeze of config.yml, unless a person has
// said for this sync that it does not hold.
func (r *reconcile) gateFreeze(context.Context) (ruling, error) {
	frozen, is := r.node.Config.Frozen(r.Settings.Node, time.Now())
	if !is {
		return ruling{}, nil
	}
	if word := r.sync.Override; word != nil {
		return ruling{passed: fmt.Sprintf("freeze %s overridden by %s: %s", frozen.Name, word.Actor, word.Reason)}, nil
	}
	return ruling{
		waiting: fmt.Sprintf("frozen until %s: %s", report.Clock(frozen.Until, time.Now()), frozen.Name),
		until:   frozen.Until, unattended: true,
	}, nil
}

// holdsStill says that nothing is to be written by itself now: the agent is paused, or
// a freeze holds of those that config.yml had when it was applied last. A drift is
// not corrected then.
func (a *Agent) holdsStill() (bool, error) {
	if a.paused() != nil {
		return true, nil
	}
	applied := a.snapshot().applied
	if applied == nil || len(applied.Freezes) == 0 {
		return false, nil
	}
	var freezes []manifests.Freeze
	if err := json.Unmarshal(applied.Freezes, &freezes); err != nil {
		return false, fmt.Errorf("recall the freezes: %w", err)
	}
	_, frozen := manifests.FrozenBy(freezes, a.Settings.Node, time.Now())
	return frozen, nil
}

// freezes are what an applied revision says of freezes; nil where it has none.
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
