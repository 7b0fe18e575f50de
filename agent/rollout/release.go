package rollout

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
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
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

// releaseGate asks whether the release is ready. The last verdict outlives the attempt, in
// memory.
type releaseGate struct {
	a          *attempt
	memory     **released
	remembered bool // the gate let the plan pass by an earlier verdict
}

// ask asks whether the release, and what it needs on this node, is ready for a
// rollout (config.yml's deployment.gates). A good verdict is reused while other gates
// wait; confirm asks again before the first write.
func (g *releaseGate) ask(ctx context.Context) (gates.Ruling, error) {
	known := *g.memory
	if known != nil && known.of != g.key() {
		known = nil
	}
	found := known
	if known == nil || time.Since(known.at) >= verdictAge {
		found = g.judge(ctx)
	}
	switch {
	case ctx.Err() != nil:
		return gates.Ruling{}, ctx.Err()
	case len(found.verdict.Refusals) > 0:
		return gates.Ruling{}, errors.Join(found.verdict.Refusals...)
	case len(found.verdict.Transient) > 0 && known == nil:
		return gates.Ruling{Transient: errors.Join(found.verdict.Transient...)}, nil
	case len(found.verdict.Transient) > 0:
		kept := *known // while other gates wait, an earlier good verdict is enough
		kept.at = time.Now()
		known, found = &kept, &kept
	}
	g.remembered, *g.memory = found == known, found
	g.a.note.Warnings = append(g.a.note.Warnings, found.verdict.Warnings...)
	return gates.Ruling{Passed: strings.Join(found.verdict.Passed, "; ")}, nil
}

// confirm asks again once no other gate waits, if the gate reused an earlier verdict.
func (g *releaseGate) confirm(ctx context.Context) error {
	if !g.remembered {
		return nil
	}
	remembered := *g.memory
	*g.memory = nil
	found := g.judge(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := errors.Join(found.verdict.Refusals...); err != nil {
		return err
	}
	if len(found.verdict.Transient) > 0 {
		return fault.Transient(errors.Join(found.verdict.Transient...))
	}
	*g.memory = found
	for _, warning := range found.verdict.Warnings {
		if !slices.Contains(remembered.verdict.Warnings, warning) {
			g.a.note.Warnings = append(g.a.note.Warnings, warning)
		}
	}
	sync := g.a.sync
	sync.Gates = slices.Clone(sync.Gates) // other goroutines read the earlier ones
	i := slices.IndexFunc(sync.Gates, func(g record.Gate) bool { return g.Name == record.GateRelease })
	sync.Gates[i].Passed = strings.Join(found.verdict.Passed, "; ")
	return nil
}

// key names the commit and the plan that a verdict is about.
func (g *releaseGate) key() string { return g.a.sync.Commit + " " + g.a.note.PlanDigest }

// judge asks for everything that config.yml names, and gives all reasons at once.
func (g *releaseGate) judge(ctx context.Context) *released {
	a := g.a
	asked := a.config().ReleaseGates()
	if asked.Images || asked.Vulnerabilities.Asked || asked.Database { // these may be slow
		a.show("checking whether the release is ready for a rollout")
		defer a.use.Screen.Progress("")
	}
	probes := readiness.Probes{
		Settings: a.use.Settings, Engine: a.use.Probe, Begun: a.ahead.takeReady(ctx), Node: a.desired.Node, Files: a.desired.CheckFile, Stack: a.stack,
		Images: writtenImages(a.plan, a.stack), Databases: readiness.KnownDatabases(a.database.check, a.questions.list),
	}
	v, err := probes.Judge(ctx, asked)
	if asked.Preflight {
		g.preflight(v, err)
	}
	return &released{verdict: v, of: g.key(), at: time.Now()}
}

// writtenImages lists the images of the services that the plan creates or updates.
func writtenImages(plan deploy.Plan, stack *compose.Stack) []string {
	var images []string
	for _, name := range plan.Changed() {
		if container := stack.Services[name].TaskTemplate.ContainerSpec; container != nil {
			images = append(images, container.Image)
		}
	}
	slices.Sort(images)
	return slices.Compact(images)
}

// preflight runs the doctor's probes that matter to a rollout and take little time. The
// keys were used shortly before; GitLab is not asked.
func (g *releaseGate) preflight(v *readiness.Verdict, engineErr error) {
	passed := 1 // keys
	if g.a.use.Probe != nil {
		if engineErr == nil {
			passed += 2 // engine, swarm
		} else {
			v.Transient = append(v.Transient, engineErr)
		}
	}
	if tokens := g.a.use.Tokens; tokens != nil {
		faults := tokens()
		for _, err := range faults {
			v.Warn(fmt.Errorf("GitLab: %w", err))
		}
		if len(faults) == 0 {
			passed++
		}
	}
	v.Pass("%s of the doctor passed", plural.Count(passed, "probe"))
}
