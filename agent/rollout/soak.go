package rollout

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// soak sets the soak time of the state that a rollout leaves. It is about the services whose
// specs differ from the good state before, and about those of that state whose soak time is not
// over. A sync that changes neither, such as the correction of a drift, begins no soak time. A
// sync that leaves a service as it is which did not stay healthy leaves the state unfit.
func (m goodMaker) soak(good *record.GoodState) error {
	rule, before, now, at := m.a.config().Deployment.Rollback, m.a.base.Deployed, m.a.declared, good.At
	was, until := &compose.Stack{}, time.Time{}
	if before != nil {
		var err error
		if was, err = drift.Applied(before); err != nil {
			return err
		}
		failed := func(name string) bool { return before.Watches(name, at) && before.Soak.Failed != "" }
		if slices.ContainsFunc(m.a.sync.Leaves, failed) {
			good.Soak, good.Unfit = before.Soak, cmp.Or(good.Unfit, before.Unfit)
			return nil
		}
	}
	patience := min(m.a.config().HealthTimeout(), rule.Soak/2) // so that missing tasks show within the soak time
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
	if soak.Until = until; rule.Soak > 0 && len(soak.Services) > 0 {
		good.Soak = soak
	}
	return nil
}
