package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/readiness"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/plural"
)

// verdictAge is how long the verdict about registries, Harbor, disk and database is
// reused while another gate waits.
const verdictAge = 10 * time.Minute

// released is the verdict about a plan, with its time.
type released struct {
	verdict *readiness.Verdict
	of      string    // commit and plan
	at      time.Time // when that was asked last
}

// gateRelease asks whether the release, and what it needs on this node, is ready for a
// rollout (config.yml's deployment.gates). A good verdict is reused while other gates
// wait; confirmRelease asks again before the first write. The correction of a drift
// returns to what was verified, and asks for nothing.
func (r *reconcile) gateRelease(ctx context.Context) (gates.Ruling, error) {
	known := r.released
	if known != nil && known.of != r.releaseKey() {
		known = nil
	}
	found := known
	if known == nil || time.Since(known.at) >= verdictAge {
		found = r.judgeRelease(ctx)
	}
	switch {
	case ctx.Err() != nil:
		return gates.Ruling{}, ctx.Err()
	case len(found.verdict.Refusals) > 0:
		return gates.Ruling{}, errors.Join(found.verdict.Refusals...)
	case len(found.verdict.Troubles) > 0 && known == nil:
		return gates.Ruling{Trouble: errors.Join(found.verdict.Troubles...)}, nil
	case len(found.verdict.Troubles) > 0:
		kept := *known // while other gates wait, an earlier good verdict is enough
		kept.at = time.Now()
		known, found = &kept, &kept
	}
	r.remembered, r.released = found == known, found
	r.attempt.Warnings = append(r.attempt.Warnings, found.verdict.Warnings...)
	return gates.Ruling{Passed: strings.Join(found.verdict.Passed, "; ")}, nil
}

// confirmRelease asks again once no other gate waits, if the gate reused an earlier
// verdict.
func (r *reconcile) confirmRelease(ctx context.Context) error {
	if !r.remembered {
		return nil
	}
	remembered := r.released
	r.released = nil
	found := r.judgeRelease(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := errors.Join(found.verdict.Refusals...); err != nil {
		return err
	}
	if len(found.verdict.Troubles) > 0 {
		return environmentErrors(errors.Join(found.verdict.Troubles...))
	}
	r.released = found
	for _, warning := range found.verdict.Warnings {
		if !slices.Contains(remembered.verdict.Warnings, warning) {
			r.attempt.Warnings = append(r.attempt.Warnings, warning)
		}
	}
	r.sync.Gates = slices.Clone(r.sync.Gates) // other goroutines read the earlier ones
	i := slices.IndexFunc(r.sync.Gates, func(g record.Gate) bool { return g.Name == record.GateRelease })
	r.sync.Gates[i].Passed = strings.Join(found.verdict.Passed, "; ")
	return nil
}

// environmentErrors marks each of the joined errors as a transient failure.
func environmentErrors(err error) error {
	var all []error
	for _, one := range fault.All(err) {
		all = append(all, environmentError{one})
	}
	return errors.Join(all...)
}

func (r *reconcile) releaseKey() string { return r.sync.Commit + " " + r.attempt.PlanDigest }

// judgeRelease asks for everything that config.yml names, and gives all reasons at once.
func (r *reconcile) judgeRelease(ctx context.Context) *released {
	asked := r.node.Config.ReleaseGates()
	if asked.Images || asked.Vulnerabilities.Asked || asked.Database { // these may be slow
		r.showProgress("checking whether the release is ready for a rollout")
		defer r.update(func(v *view) { v.progress = "" })
	}
	probes := readiness.Probes{
		Settings: &r.Settings, Engine: r.Release, Node: r.node, Stack: r.stack,
		Images: r.writtenImages(), Databases: readiness.KnownDatabases(r.migrations, r.questions.list),
	}
	v, err := probes.Judge(ctx, asked)
	if asked.Preflight {
		r.preflight(v, err)
	}
	return &released{verdict: v, of: r.releaseKey(), at: time.Now()}
}

// writtenImages lists the images of the services that the plan creates or updates.
func (r *reconcile) writtenImages() []string {
	var images []string
	for _, name := range r.plan.Changed() {
		if container := r.stack.Services[name].TaskTemplate.ContainerSpec; container != nil {
			images = append(images, container.Image)
		}
	}
	slices.Sort(images)
	return slices.Compact(images)
}

// preflight runs the doctor's probes that matter to a rollout and take little time. The
// keys were used shortly before; GitLab is not asked.
func (r *reconcile) preflight(v *readiness.Verdict, engineErr error) {
	passed := 1 // keys
	if r.Release != nil {
		if engineErr == nil {
			passed += 2 // engine, swarm
		} else {
			v.Troubles = append(v.Troubles, engineErr)
		}
	}
	if r.Reports != nil {
		if err := readiness.TokenTrouble(r.Reports.Health().TokenExpires); err != nil {
			v.Warn(fmt.Errorf("GitLab: %w", err))
		} else {
			passed++
		}
	}
	v.Pass("%s of the doctor passed", plural.Count(passed, "probe"))
}
