package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// gate lets a plan pass, or makes the sync wait. A gate never stops a rollout that has
// begun.
func (r *reconcile) gate(ctx context.Context) error {
	r.regroup()
	if r.plan.Empty() {
		return r.sync.Apply(record.Pass, time.Now())
	}
	r.sync.Summary = "about to apply: " + report.PlanIntent(r.plan.Recorded())
	if r.attempt.Wrote {
		return nil
	}
	putsBack, err := r.putsBack()
	if err != nil {
		return err
	}
	answer, err := gates.Ask(ctx, r.gates(), &gates.Plan{
		Sync: r.sync, Config: r.node.Config, Digest: r.attempt.PlanDigest, Unresolved: r.unresolved, Tag: r.revision.Tag,
		PutsBack: putsBack, Verified: r.verified(), Before: r.sync.Gates,
	})
	r.sync.Gates, r.sync.Approval = answer.Gates, answer.Approval
	if answer.Group != nil {
		r.sync.Group = answer.Group
	}
	switch {
	case err != nil:
		return err
	case answer.Trouble != nil:
		return environmentErrors(answer.Trouble)
	case answer.Waiting != "":
		if err := r.sync.Apply(record.Hold, time.Now()); err != nil {
			return err
		}
		r.sync.Waiting = answer.Waiting
		return errWaiting
	}
	if err := r.confirmRelease(ctx); err != nil {
		return err
	}
	if err := r.migrationsBefore(ctx); err != nil {
		return err
	}
	if err := r.sync.Apply(record.Pass, time.Now()); err != nil {
		return err
	}
	if r.sync.State == record.Running {
		return nil // continued after a restart
	}
	return r.report(r.sync)
}

// gates gives the gates of this attempt.
func (r *reconcile) gates() []gates.Gate {
	return gates.All(gates.Parts{
		Environment: r.Settings.Environment, Node: r.Settings.Node, Records: r.records,
		Approvals: r.Approvals, Statuses: r.Statuses, Paused: r.paused, Release: r.gateRelease,
	})
}

// putsBack reports whether the plan returns the services to the deployed good state, as
// the correction of a drift does. Nothing in such a plan needs an approval.
func (r *reconcile) putsBack() (bool, error) {
	deployed := r.snapshot().deployed
	if deployed == nil {
		return false, nil
	}
	services, err := json.Marshal(r.stack.Services)
	if err != nil {
		return false, fmt.Errorf("compare with what was applied: %w", err)
	}
	return bytes.Equal(services, deployed.Services), nil
}

// verified reports whether this node has verified the sync's revision before.
func (r *reconcile) verified() bool {
	deployed := r.snapshot().deployed
	return r.sync.Trigger == record.OnDrift || deployed != nil && deployed.Commit == r.sync.Commit
}

// errWaiting ends a reconcile that waits.
var errWaiting = errors.New("waiting")
