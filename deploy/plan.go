package deploy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

// Action is what a step does to an object.
type Action string

// The actions.
const (
	Create    Action = "create"
	Update    Action = "update"
	Replace   Action = "replace"    // remove and create: the engine cannot update it so
	ScaleDown Action = "scale-down" // of a cron service to 0 while other services change
	Remove    Action = "remove"

	// ScaleUp gives a cron service its replicas again after a failure. It is not part of
	// a plan: an Apply that fails reports it.
	ScaleUp Action = "scale-up"
)

// Kind is the kind of object of a step.
type Kind string

// The kinds.
const (
	Network Kind = "network"
	Secret  Kind = "secret"
	Config  Kind = "config"
	Service Kind = "service"
)

// phase orders the steps: a phase begins when the previous one is done.
type phase int

const (
	phaseCronDown phase = iota
	phaseNetworks
	phaseObjects  // secrets and configs
	phaseRelease  // services that give up a published port for another service
	phaseServices // all others
	phaseCronBack
	phaseRemove
)

// stretch gives the first of the phases that each wave runs through separately.
func (p phase) stretch() phase {
	if p == phaseServices {
		return phaseRelease
	}
	return p
}

// Step is one write to the engine.
type Step struct {
	Action   Action   `json:"action"`
	Kind     Kind     `json:"kind"`
	Name     string   `json:"name"` // full name in the engine
	Changes  []Change `json:"changes,omitempty"`
	Restarts bool     `json:"restarts"` // tasks of the service are replaced, started or stopped

	// Wave is the service's wave, counted from 1: the services of earlier waves have to
	// converge before the step begins. It is 0 if the plan has no waves.
	Wave int `json:"wave,omitempty"`

	// Tasks is how many tasks that affects, by the number of desired tasks when the plan
	// was made. It is for people and not part of the digest.
	Tasks uint64 `json:"tasks,omitempty"`

	// Sum is a digest of what is written. The plan's digest needs it, because Changes are
	// masked and cut.
	Sum string `json:"sum,omitempty"`

	// Has is what a created service has, for people. It is not part of the digest.
	Has []Change `json:"has,omitempty"`

	phase phase
	turn  int // of the steps of phaseRelease: after those whose ports the service takes over
}

// beside tells whether two steps that follow each other may be written at once.
func (s Step) beside(next Step) bool {
	return s.phase == next.phase && s.Wave == next.Wave && s.turn == next.turn
}

// LabelsOnly tells whether the step changes only labels of the service.
func (s Step) LabelsOnly() bool {
	return s.Action == Update && !s.Restarts && !slices.ContainsFunc(s.Changes, func(c Change) bool {
		return !strings.HasPrefix(c.Path, "Labels[")
	})
}

// RecordedPlan is a plan as the history keeps it: it can be shown and compared, but
// not applied.
type RecordedPlan struct {
	Stack string `json:"stack"`
	Steps []Step `json:"steps"`

	// Adopted names the live services of this stack that another tool deployed and that
	// this agent takes over.
	Adopted []string `json:"adopted,omitempty"`
	// Warnings name differences that the plan does not change.
	Warnings []string `json:"warnings,omitempty"`
	// Ignored are the fields whose live values the plan keeps: drift_ignore in config.yml.
	Ignored []Ignored `json:"ignored,omitempty"`
	// Grants are what lets the containers of created and changed services act on the node or
	// on others.
	Grants []compose.Grant `json:"grants,omitempty"`
	// Sum is the digest, made before values were hidden; "" in the records of older agents.
	Sum string `json:"digest,omitempty"`
}

// Plan is what Diff gives and Apply takes: what to write, in the order of application,
// so that the live state becomes the wanted one. Its fields are those of a RecordedPlan.
type Plan struct {
	Stack    string
	Steps    []Step
	Adopted  []string
	Warnings []string
	Ignored  []Ignored
	Grants   []compose.Grant
	Sum      string

	live  *Live          // nil if Diff did not make the plan
	waves map[string]int // the wave of each wanted service; nil if there is one wave
}

// Recorded gives what the history keeps of the plan.
func (p Plan) Recorded() RecordedPlan {
	return RecordedPlan{
		Stack: p.Stack, Steps: p.Steps, Adopted: p.Adopted, Warnings: p.Warnings, Ignored: p.Ignored, Grants: p.Grants, Sum: p.Sum,
	}
}

// MarshalJSON gives the JSON of the recorded plan.
func (p Plan) MarshalJSON() ([]byte, error) { return json.Marshal(p.Recorded()) }

// Empty tells whether there is nothing to write.
func (p Plan) Empty() bool { return p.Recorded().Empty() }

// Changed lists the services that the plan creates or updates, sorted.
func (p Plan) Changed() []string { return p.Recorded().Changed() }

// Digest identifies what the plan does, as that of the recorded plan.
func (p Plan) Digest() string { return p.Recorded().Digest() }

// UnmarshalJSON refuses: a plan from JSON is a RecordedPlan.
func (p *Plan) UnmarshalJSON([]byte) error {
	return errors.New("a recorded plan cannot be applied: read it into a RecordedPlan")
}

// Empty tells whether there is nothing to write.
func (p RecordedPlan) Empty() bool { return len(p.Steps) == 0 }

// Changed lists the services that the plan creates or updates, sorted.
func (p RecordedPlan) Changed() []string {
	var names []string
	for _, step := range p.Steps {
		if step.Kind == Service && step.Action != Remove && step.Action != ScaleDown {
			names = append(names, step.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Digest identifies what the plan does: the same wanted stack and the same live state
// give the same digest. It does not depend on what is shown of the plan.
func (p RecordedPlan) Digest() string {
	if p.Sum != "" {
		return p.Sum
	}
	steps := slices.Clone(p.Steps)
	for i := range steps {
		steps[i].Tasks, steps[i].Has = 0, nil
	}
	return sumOf(struct {
		Stack string
		Steps []Step
	}{p.Stack, steps})
}

// sumOf gives a digest of a value's JSON; "" if it has none.
func sumOf(value any) string {
	content, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// draft is a plan in the making.
type draft Plan

// Diff plans how the live state becomes the wanted one. It refuses a stack that must not
// or cannot be applied, with all reasons at once: objects of other owners, missing
// external objects, missing secrets without a value, secrets and configs of a size that Swarm
// refuses or that exist with a different content, fields that the engine does not know, what
// the managers refuse anyway, and services that exchange published ports. It needs no secret
// values.
func Diff(live *Live, want *compose.Stack) (Plan, error) {
	refused := slices.Concat(
		conflicts(live, want),
		missingExternals(live, want),
		missingValues(live, want),
		wrongSizes(live, want),
		unchangeable(live, want),
		unknownFields(live.APIVersion, want),
		exchangedPorts(live.Services, want),
	)
	if len(refused) > 0 {
		return Plan{}, errors.Join(refused...)
	}
	plan := draft{Stack: want.Name, Steps: []Step{}, live: live}
	services := live.Services
	plan.addNetworks(live, want)
	plan.addObjects(live, want)
	plan.addServices(services, want)
	if refused := plan.unacceptable(want); len(refused) > 0 {
		return Plan{}, errors.Join(refused...)
	}
	plan.addCron(services, want)
	plan.addWaves(services, want)
	plan.countTasks(services, want)
	plan.sort()
	plan.Ignored = IgnoredIn(services, want)
	plan.Sum = Plan(plan).Digest()
	plan.show(live, want)
	return Plan(plan), nil
}

// Drift gives the steps that would make the live services equal to the applied ones;
// none if they are equal. The stack may come from the agent's state file, without
// secret values. The steps are for showing: a plan to apply would scale cron services
// down first, which is not a difference.
func Drift(live LiveServices, applied *compose.Stack) []Step {
	plan := draft{Stack: applied.Name}
	plan.addServices(live, applied)
	plan.countTasks(live, applied)
	plan.sort()
	plan.hideValues()
	return plan.Steps
}

// countTasks notes how many tasks each step replaces, starts or stops.
func (p *draft) countTasks(live LiveServices, want *compose.Stack) {
	for i := range p.Steps {
		step := &p.Steps[i]
		if step.Kind != Service || !step.Restarts {
			continue
		}
		existing, exists := live[step.Name]
		spec, wanted := want.Services[step.Name]
		now, then := desired(existing.Spec, existing.ServiceStatus), desired(spec, existing.ServiceStatus)
		switch {
		case !exists:
			step.Tasks = then
		case !wanted, step.Action != Update:
			step.Tasks = now
		default:
			step.Tasks = min(now, then)
		}
	}
}

// desired gives how many tasks a service should have: by its spec, or by the engine's
// count if the number depends on the nodes. It is 0 for a global service that does not
// exist yet.
func desired(spec swarm.ServiceSpec, status *swarm.ServiceStatus) uint64 {
	switch {
	case spec.Mode.Global != nil || spec.Mode.GlobalJob != nil:
		if status == nil {
			return 0
		}
		return status.DesiredTasks
	case spec.Mode.ReplicatedJob != nil:
		return *canonicalMode(spec.Mode).ReplicatedJob.TotalCompletions
	}
	return replicas(spec)
}

func (p *draft) sort() {
	slices.SortStableFunc(p.Steps, func(a, b Step) int {
		return cmp.Or(
			int(a.phase.stretch()-b.phase.stretch()),
			a.Wave-b.Wave,
			int(a.phase-b.phase),
			a.turn-b.turn,
			-strings.Compare(string(a.Kind), string(b.Kind)), // secrets, then configs
			strings.Compare(a.Name, b.Name),
		)
	})
	slices.Sort(p.Adopted)
	slices.Sort(p.Warnings)
}
