package agent

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// gate is one thing that has to be so before a plan is applied.
type gate struct {
	name record.GateName
	// ask says what the gate waits for, or that it lets the plan pass. An error is
	// a plan that must not pass at all: the revision fails.
	ask func(context.Context) (ruling, error)
}

// ruling is what a gate says of a plan.
type ruling struct {
	waiting string    // what for; "" to let the plan pass
	passed  string    // why, where that is worth knowing
	until   time.Time // when it opens by itself, where that is known

	// about is what is waited for, in a word: the time of waiting begins anew when it
	// changes. After limit, unless that is 0, the plan fails with late.
	about string
	limit time.Duration
	late  error
	// unattended says that nobody has to do anything for it to open.
	unattended bool
	// trouble is what keeps this node, for now, from letting the plan pass, which is
	// not the revision's fault: unless another gate waits, it is tried again.
	trouble error
}

// gates are asked in this order, all of them at each look while one of them waits.
func (r *reconcile) gates() []gate {
	return []gate{
		{record.GatePause, r.gatePause},
		{record.GateFreeze, r.gateFreeze},
		{record.GateAutoDeploy, r.gateAutoDeploy},
		{record.GateRelease, r.gateRelease},
		{record.GateApproval, r.gateApproval},
		{record.GateOrder, r.gateOrder},
	}
}

// gate lets a plan pass, or makes the sync wait. A rollout that has begun is never
// stopped by a gate.
func (r *reconcile) gate(ctx context.Context) error {
	r.regroup()
	if r.plan.Empty() {
		return r.sync.Apply(record.Pass, time.Now())
	}
	r.sync.Summary = "about to apply: " + report.PlanIntent(r.plan.RecordedPlan)
	if r.attempt.Wrote {
		return nil
	}
	waits, troubles := []string(nil), []error(nil)
	r.before, r.sync.Gates = r.sync.Gates, nil
	for _, gate := range r.gates() {
		said, err := gate.ask(ctx)
		if err != nil {
			return err
		}
		if said.trouble != nil {
			troubles = append(troubles, said.trouble)
			said.waiting, said.unattended = report.OneLine(said.trouble), true
		}
		asked := record.Gate{Name: gate.name, Waiting: said.waiting, Passed: said.passed, Until: said.until}
		if said.waiting != "" {
			asked.About, asked.Unattended = said.about, said.unattended
			asked.Since = waitingSince(r.before, gate.name, said.about)
			waits = append(waits, said.waiting)
		}
		r.sync.Gates = append(r.sync.Gates, asked)
		if said.limit > 0 && time.Since(asked.Since) >= said.limit {
			return said.late
		}
	}
	if len(troubles) > 0 && len(waits) == len(troubles) {
		return environmentErrors(errors.Join(troubles...))
	}
	if len(waits) > 0 {
		if err := r.sync.Apply(record.Hold, time.Now()); err != nil {
			return err
		}
		r.sync.Waiting = strings.Join(waits, "; ")
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
		return nil // carried on after a restart
	}
	return r.report(r.sync)
}

// waitingSince is when a gate began to wait for what it waits for.
func waitingSince(before []record.Gate, name record.GateName, about string) time.Time {
	i := slices.IndexFunc(before, func(g record.Gate) bool { return g.Name == name && g.Waiting != "" && g.About == about })
	if i < 0 {
		return time.Now()
	}
	return before[i].Since
}

// gateAutoDeploy waits for a person where config.yml says so. `agent sync` on the
// node is that person's word, and no approval.
func (r *reconcile) gateAutoDeploy(context.Context) (ruling, error) {
	switch {
	case r.sync.Trigger != record.OnCommit:
	case !r.node.Config.Deployment.AutoDeploy:
		return ruling{waiting: "auto_deploy is off; `agent sync` on the node rolls it out"}, nil
	}
	return ruling{}, nil
}

// errWaiting ends a reconcile that waits.
var errWaiting = errors.New("waiting")
