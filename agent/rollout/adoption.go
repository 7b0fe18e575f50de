package rollout

import (
	"fmt"
	"maps"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/consent"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/journal"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

// adoption finds out what the rollout of a commit takes over, and records which stack the
// node keeps before the first write.
type adoption struct {
	a    *attempt
	all  bool        // the user adopts whatever the first rollout takes over
	user audit.Actor // who asked for that

	live *deploy.Live
	on   consent.Record
}

// ask notes in the sync what a user has to adopt before the plan is applied. A rollout that
// has written has passed its gates.
func (d *adoption) ask(live *deploy.Live, plan deploy.Plan) error {
	d.live = live
	if err := d.recall(); err != nil || d.a.note.Wrote {
		return err
	}
	if d.a.sync.Takes = consent.Needed(live, d.a.stack, plan, d.on); d.a.sync.Takes == nil || !d.first() {
		return nil
	}
	return d.adoptAll(plan.Digest())
}

// recall reads what is on record of the stack.
func (d *adoption) recall() error {
	kept, err := d.a.use.Records.Adoption()
	if err != nil {
		return fmt.Errorf("recall the adopted stack: %w", err)
	}
	d.on, err = consent.NewRecord(d.a.stack.Owner, kept, d.a.base.Deployed)
	return err
}

// own gives the live objects without the services that this sync does not remove. A rollout
// that has written asks no gate again: it leaves a service that came after them, and the next
// rollout asks for its adoption.
func (d *adoption) own(live *deploy.Live) (*deploy.Live, error) {
	if d.a.sync.Trigger == record.OnDrift {
		return ownServices(live, d.a.stack), nil
	}
	if !d.a.note.Wrote {
		return live, nil
	}
	if err := d.recall(); err != nil {
		return nil, err
	}
	own := *live
	own.Services = maps.Clone(live.Services)
	for _, name := range consent.Newcomers(live, d.a.stack, d.on) {
		delete(own.Services, name)
	}
	return &own, nil
}

// first reports whether the user adopts all, and no stack is on record yet.
func (d *adoption) first() bool { return d.all && d.on.Stack() == "" }

// adoptAll records the consent of the user who asked for the first rollout.
func (d *adoption) adoptAll(plan string) error {
	given := &record.Consent{To: *d.a.sync.Takes, Plan: plan, Actor: d.user, Reason: "agent sync --adopt", At: time.Now().UTC()}
	entry := journal.SyncEntry(d.a.sync)
	entry.Stack, entry.Actor, entry.Action, entry.Plan = d.a.use.Stack, d.user, audit.Adopt, plan
	entry.Detail = consent.Text(d.a.sync.Takes)
	if err := d.a.use.Audit.Append(entry); err != nil {
		return err
	}
	return d.a.use.Records.SaveConsent(given)
}

// keep records the stack that the node keeps from now on, before the first write.
func (d *adoption) keep() error {
	var given *record.Consent
	if d.a.sync.Takes != nil {
		var err error
		if given, err = d.a.use.Records.Consent(); err != nil {
			return fmt.Errorf("recall the consent to adopt: %w", err)
		}
	} else if d.on.Adoption != nil && d.on.Adoption.Stack == d.a.stack.Name {
		return nil
	}
	adopted := consent.Adopt(d.live, d.a.stack, d.on, given, time.Now())
	if err := d.a.use.Records.SaveAdoption(adopted); err != nil {
		return fmt.Errorf("record the adopted stack: %w", err)
	}
	if given != nil {
		d.a.use.Log.Info("adopted", "revision", record.Short(d.a.sync.Commit), "stack", adopted.Stack, "objects", len(given.To.Objects), "by", gates.ConsentText(given))
	}
	return nil
}

// refuseOthers refuses a rollback that would overwrite a service which neither this agent made
// nor a user adopted.
func (b *back) refuseOthers(live *deploy.Live) error {
	kept, err := b.a.use.Records.Adoption()
	if err != nil {
		return fmt.Errorf("recall the adopted stack: %w", err)
	}
	on, err := consent.NewRecord(b.before.Owner, kept, b.a.base.Deployed)
	if err != nil || b.a.note.Wrote {
		return err
	}
	if names := consent.Overwritten(live, b.before, on); len(names) > 0 {
		return fault.New(fault.Place{}, "remove the services, or roll back to a state without them", "the rollback would overwrite services that this agent did not make: %s", listed(names))
	}
	return nil
}

// ownServices gives the live services without those that only a rollout may remove, after a
// user adopted them.
func ownServices(live *deploy.Live, want *compose.Stack) *deploy.Live {
	own := *live
	own.Services = deploy.WithoutUnowned(live.Services, want)
	return &own
}
