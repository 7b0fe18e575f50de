package agent

import (
	"context"
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

// gatePause lets no rollout begin while a person has paused the agent, not even one
// that a person asks for.
func (r *reconcile) gatePause(context.Context) (ruling, error) {
	pause := r.paused()
	if pause == nil {
		return ruling{}, nil
	}
	return ruling{waiting: pauseText(pause), until: pause.Until, unattended: !pause.Until.IsZero()}, nil
}

func pauseText(pause *record.Pause) string {
	if pause.Until.IsZero() {
		return fmt.Sprintf("paused by %s: %s", pause.Actor, pause.Reason)
	}
	return fmt.Sprintf("paused by %s until %s: %s", pause.Actor, Clock(pause.Until.Local(), time.Now()), pause.Reason)
}

// Clock tells a time that is to come, in its own time zone, as short as it is clear.
func Clock(at, now time.Time) string {
	now = now.In(at.Location())
	switch day := at.YearDay() == now.YearDay() && at.Year() == now.Year(); {
	case day:
		return at.Format("15:04 MST")
	case at.Sub(now) < 6*24*time.Hour:
		return at.Format("Mon 15:04 MST")
	}
	return at.Format("Mon 2006-01-02 15:04 MST")
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
		waiting: fmt.Sprintf("frozen until %s: %s", Clock(frozen.Until, time.Now()), frozen.Name),
		until:   frozen.Until, unattended: true,
	}, nil
}

// frozen reports whether a freeze is in force of those that the deployed config.yml has.
// A drift is not corrected then.
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
