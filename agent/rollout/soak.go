package rollout

import (
	"maps"
	"slices"
	"time"

	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// soak gives the soak time of the state that a rollout leaves at a time. It is about the
// services whose specs differ from the good state before, and about those of that state whose
// soak time is not over. A sync that changes neither, such as the correction of a drift,
// begins no soak time.
func (f *forward) soak(at time.Time) (*record.Soak, error) {
	rule, before, now := f.a.config().Deployment.Rollback, f.a.base.Deployed, f.a.stack
	was, until := &compose.Stack{}, time.Time{}
	if before != nil {
		var err error
		if was, err = drift.Applied(before); err != nil {
			return nil, err
		}
	}
	patience := min(f.a.config().HealthTimeout(), rule.Soak/2) // so that missing tasks show within the soak time
	soak := &record.Soak{For: rule.Soak, Patience: patience, Automatic: rule.Enabled && rule.Automatic}
	for _, name := range slices.Sorted(maps.Keys(now.Services)) {
		switch {
		case deploy.RollbackChanges(was, now, []string{name}):
			until = at.Add(rule.Soak)
		case !before.Watches(name, at):
			continue
		case before.Soak.Failed != "": // it is verified again
			until = at.Add(rule.Soak)
		case until.Before(before.Soak.Until):
			until = before.Soak.Until
		}
		soak.Services = append(soak.Services, name)
	}
	if soak.Until = until; rule.Soak <= 0 || len(soak.Services) == 0 {
		return nil, nil
	}
	return soak, nil
}
