package rollout

import (
	"context"
	"errors"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/visible"
)

// admission is the stage of a rollout that asks the gates about its plan.
type admission struct {
	a       *attempt
	tag     bool // the revision was selected by a tag
	release *releaseGate

	adoption *adoption

	traced **traced // of the attempt before
	since  gates.Since
	plan   *gates.Plan // that the gates were asked about; nil before
}

// ask lets the plan pass, or makes the sync wait. A gate never stops a rollout that has
// begun.
func (d *admission) ask(ctx context.Context) error {
	a := d.a
	d.regroup()
	loosens := report.Loosens(a.sync)
	if a.plan.Empty() && a.sync.Takes == nil && loosens == "" && !a.use.Gates.Observe {
		return errors.Join(d.adoption.keep(), a.sync.Apply(record.Pass, time.Now()))
	}
	intent := report.PlanIntent(a.plan.Recorded())
	a.sync.Summary = "about to apply: " + intent
	if a.note.Wrote {
		d.warnLoosened(loosens)
		return d.adoption.keep()
	}
	putsBack, err := d.putsBack()
	if err != nil {
		return err
	}
	moved, err := d.moved(putsBack)
	if err != nil {
		return err
	}
	d.plan = &gates.Plan{
		Sync: a.sync, Config: a.config(), Digest: a.note.PlanDigest, Intent: intent, Unresolved: a.unresolved, Tag: d.tag,
		PutsBack: putsBack, Moved: moved, Verified: d.verified(), Before: a.sync.Gates, Grants: newGrants(a.plan.Grants), Since: d.since,
	}
	answer, err := gates.Ask(ctx, d.gates(), d.plan)
	takeAnswer(a.sync, answer)
	switch {
	case err != nil:
		return err
	case answer.Transient != nil:
		return fault.Transient(answer.Transient)
	case answer.Waiting != "":
		if err := a.sync.Apply(record.Hold, time.Now()); err != nil {
			return err
		}
		return errWaiting
	}
	d.warnLoosened(loosens)
	if err := d.release.confirm(ctx); err != nil {
		return err
	}
	if !a.plan.Empty() {
		if err := a.database.before(ctx); err != nil {
			return err
		}
	}
	if err := errors.Join(d.adoption.keep(), a.sync.Apply(record.Pass, time.Now())); err != nil {
		return err
	}
	if a.sync.State == record.Running {
		return nil // continued after a restart
	}
	return a.use.Publish.Sync(a.sync)
}

// warnLoosened warns of what a commit loosens that the gates let pass.
func (d *admission) warnLoosened(loosens string) {
	if loosens != "" {
		d.a.warn(loosens + ": this holds from the next commit on")
	}
}

// errWaiting ends an attempt that waits.
var errWaiting = errors.New("waiting")

// gates gives the gates of this attempt.
func (d *admission) gates() []gates.Gate {
	parts := d.a.use.Gates
	parts.Release = d.release.ask
	return gates.All(parts)
}

// regroup makes an inherited group follow the config.yml of this commit. A node that is
// no longer in a group does not roll back with others.
func (d *admission) regroup() {
	others := d.a.config().Others(d.a.use.Node.Node)
	if d.a.sync.Group == nil || len(others) == 0 {
		d.a.sync.Group = nil
		return
	}
	group := *d.a.sync.Group
	group.Nodes = others
	d.a.sync.Group = &group
}

// putsBack reports whether the plan returns the services to the deployed good state, as
// the correction of a drift does. Nothing in such a plan needs an approval.
func (d *admission) putsBack() (bool, error) {
	deployed := d.a.base.Deployed
	if deployed == nil {
		return false, nil
	}
	return drift.Same(deployed, d.a.declared.Services)
}

// moved reports whether a service gets an image by its digest that the deployed good state does not have:
// its tag was moved.
func (d *admission) moved(putsBack bool) (bool, error) {
	deployed := d.a.base.Deployed
	if deployed == nil || putsBack {
		return false, nil
	}
	before, err := drift.Applied(deployed)
	if err != nil {
		return false, err
	}
	for name, spec := range d.a.declared.Services {
		if image := imageIn(spec); strings.Contains(image, "@") && image != imageIn(before.Services[name]) {
			return true, nil
		}
	}
	return false, nil
}

// verified reports whether this node has verified the sync's revision before.
func (d *admission) verified() bool {
	deployed := d.a.base.Deployed
	return d.a.sync.Trigger == record.OnDrift || deployed != nil && deployed.Commit == d.a.sync.Commit
}

// newGrants names the grants that no live service has, in the order of the plan.
func newGrants(all []compose.Grant) (names []string) {
	for _, grant := range all {
		if !grant.Kept {
			names = append(names, visible.Line(grant.Service+": "+grant.What))
		}
	}
	return names
}
