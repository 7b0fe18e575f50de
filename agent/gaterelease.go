package agent

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// verdictAge is how long registries, Harbor and the other surroundings are not asked
// again while another gate waits.
const verdictAge = 10 * time.Minute

// surroundings are what the release gates ask the engine for.
type surroundings interface {
	Ready(ctx context.Context) (deploy.Info, error)
	Local() bool
	Pushed(ctx context.Context, images []string) ([]deploy.Pushed, error)
	Login(ctx context.Context, host string) (user string, password secrets.Value, err error)
}

// verdict is what the release gates found about a plan.
type verdict struct {
	of string    // commit and plan
	at time.Time // when that was asked last

	passed   []string
	warnings []string
	refusals []error // what is wrong with the release
	troubles []error // what keeps this node, for now, from going on or from knowing
}

func (v *verdict) pass(format string, args ...any) {
	v.passed = append(v.passed, fmt.Sprintf(format, args...))
}

func (v *verdict) warn(err error) {
	text := err.Error()
	if hint := fault.Hint(err); hint != "" {
		text += "; " + hint
	}
	v.warnings = append(v.warnings, text)
}

// gateRelease asks whether the release and what surrounds it are fit for a rollout
// (config.yml's deployment.gates). What was found good is remembered while other
// gates wait; confirmRelease has the last word. A drift is corrected to what was
// proven, and asks nobody.
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
	case len(found.refusals) > 0:
		return gates.Ruling{}, errors.Join(found.refusals...)
	case len(found.troubles) > 0 && known == nil:
		return gates.Ruling{Trouble: errors.Join(found.troubles...)}, nil
	case len(found.troubles) > 0:
		kept := *known // as long as others wait, what was good a while ago will do
		kept.at = time.Now()
		known, found = &kept, &kept
	}
	r.remembered, r.released = found == known, found
	r.attempt.Warnings = append(r.attempt.Warnings, found.warnings...)
	return gates.Ruling{Passed: strings.Join(found.passed, "; ")}, nil
}

// confirmRelease asks again, once nothing else waits, where the gate went by what it
// remembered.
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
	if err := errors.Join(found.refusals...); err != nil {
		return err
	}
	if len(found.troubles) > 0 {
		return environmentErrors(errors.Join(found.troubles...))
	}
	r.released = found
	for _, warning := range found.warnings {
		if !slices.Contains(remembered.warnings, warning) {
			r.attempt.Warnings = append(r.attempt.Warnings, warning)
		}
	}
	r.sync.Gates = slices.Clone(r.sync.Gates) // others read the ones before
	i := slices.IndexFunc(r.sync.Gates, func(g record.Gate) bool { return g.Name == record.GateRelease })
	r.sync.Gates[i].Passed = strings.Join(found.passed, "; ")
	return nil
}

// environmentErrors says of each of the joined errors that it is none of the
// revision's.
func environmentErrors(err error) error {
	var all []error
	for _, one := range fault.All(err) {
		all = append(all, environmentError{one})
	}
	return errors.Join(all...)
}

func (r *reconcile) releaseKey() string { return r.sync.Commit + " " + r.attempt.PlanDigest }

// judgeRelease asks all that config.yml names, and finds all reasons at once.
func (r *reconcile) judgeRelease(ctx context.Context) *verdict {
	v := &verdict{of: r.releaseKey(), at: time.Now()}
	asked := r.node.Config.ReleaseGates()
	if asked.Images || asked.Vulnerabilities.Asked || asked.Database { // which may take their time
		r.show("looking whether the release is fit for a rollout")
		defer r.update(func(v *view) { v.progress = "" })
	}
	probes := releaseProbes{
		settings: &r.Settings, engine: r.Release, node: r.node, stack: r.stack,
		images: r.writtenImages(), databases: knownDatabases(r.migrations, r.questions.list),
	}
	v.judgeTag(asked.Tag, r.node, r.stack.Release)
	if asked.Images {
		probes.pushed(ctx, v)
	}
	if asked.Vulnerabilities.Asked {
		probes.vulnerabilities(ctx, v, asked.Vulnerabilities)
	}
	ready, err := probes.ready(ctx)
	probes.disk(v, asked.Disk, ready)
	if asked.Database {
		probes.database(ctx, v)
	}
	if asked.Preflight {
		r.preflight(v, err)
	}
	return v
}

// judgeTag compares the release's TAG with what config.yml wants it to look like.
func (v *verdict) judgeTag(gate manifests.TagGate, node *manifests.Node, tag string) {
	if gate.Pattern == "" {
		return
	}
	if regexp.MustCompile(gate.Pattern).MatchString(tag) { // validated
		v.pass("TAG is as it should be")
		return
	}
	said := fmt.Sprintf("TAG is %q", tag)
	if tag == "" {
		said = "no TAG is set"
	}
	v.refusals = append(v.refusals, fault.New(node.Variables["TAG"].Place, "set TAG in node.env to a release, or change deployment.gates.tag.pattern of config.yml",
		"%s, which does not match %s", said, gate.Pattern))
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

// preflight makes those probes of the doctor that matter to a rollout and cost next
// to nothing. The keys were used a moment ago; of GitLab nothing is asked now.
func (r *reconcile) preflight(v *verdict, engineErr error) {
	passed := 1 // keys
	if r.Release != nil {
		if engineErr == nil {
			passed += 2 // engine, swarm
		} else {
			v.troubles = append(v.troubles, engineErr)
		}
	}
	if r.Reports != nil {
		if err := tokenDoubt(r.Reports.Health().TokenExpires); err != nil {
			v.warn(fmt.Errorf("GitLab: %w", err))
		} else {
			passed++
		}
	}
	v.pass("%s of the doctor passed", count(passed, "probe"))
}

// tokenDoubt is a finding over a token that ends soon.
func tokenDoubt(expires time.Time) error {
	if expires.IsZero() || time.Until(expires) >= 14*24*time.Hour {
		return nil
	}
	return doubt{fault.WithHint(errors.New("the token expires "+expires.Format(time.DateOnly)), "rotate it soon")}
}

// knownDatabases lists the databases that the agent has a login for, that of the
// migration check first.
func knownDatabases(m *migrations, list []checks.Check) []checks.Database {
	var known []checks.Database
	if m != nil {
		known = append(known, m.Database)
	}
	for _, check := range list {
		if check.SQL != nil {
			known = append(known, check.SQL.Database)
		}
	}
	return known
}
