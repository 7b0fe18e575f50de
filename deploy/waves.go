package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/plural"
)

// Wave is the point in an Apply before the first write of a wave: the services of the
// earlier waves have to converge.
type Wave struct {
	Number int            // of the wave that is to begin
	Before int            // the index of its first step in the plan
	Stack  *compose.Stack // the wanted stack with only the services of the earlier waves
	Later  []string       // services that are not written yet, sorted
}

// Err is nil if all services of the earlier waves have converged. Else it is the error
// of the result, with a hint that the wave did not start.
func (w Wave) Err(result Result) error {
	err := result.Err()
	if err == nil {
		return nil
	}
	left := fmt.Sprintf("wave %d did not start, %s not changed", w.Number, plural.Count(len(w.Later), "service"))
	var faults []error
	for _, one := range fault.All(err) {
		hint := left
		if own := fault.Hint(one); own != "" {
			hint += "; " + own
		}
		faults = append(faults, fault.WithHint(one, hint))
	}
	return errors.Join(faults...)
}

// OneShots lists the services of a stack whose tasks end by themselves, by full name,
// sorted: job modes, and migrate and test_setup if their restart policy lets them end.
func OneShots(stack *compose.Stack) []string {
	return slices.DeleteFunc(keys(stack.Services), func(name string) bool { return !endsByItself(stack.Name, stack.Services[name]) })
}

// Only gives the stack with only the named services.
func Only(stack *compose.Stack, names []string) *compose.Stack {
	part := *stack
	part.Services = maps.Clone(stack.Services)
	maps.DeleteFunc(part.Services, func(name string, _ swarm.ServiceSpec) bool { return !slices.Contains(names, name) })
	return &part
}

// Idle tells whether a service declares 0 replicas.
func Idle(spec swarm.ServiceSpec) bool {
	return modeName(spec.Mode) == "replicated" && replicas(spec) == 0
}

// wavesOf gives the wave of each service, and the number of the last wave. Services
// without a wave, cron services and removals are in the last wave. The label of a service
// takes precedence over config.yml. If neither names waves, services whose tasks end by
// themselves are in the first wave.
func wavesOf(want *compose.Stack) (waves map[string]int, last int) {
	waves, last = map[string]int{}, 1
	for name, spec := range want.Services {
		wave := cmp.Or(compose.Wave(spec.Labels), want.Waves[name])
		if wave == 0 && want.Waves == nil && endsByItself(want.Name, spec) {
			wave = 1
		}
		if wave > 0 && !isCron(want.Name, name) {
			waves[name] = wave
			last = max(last, wave+1)
		}
	}
	for name := range want.Services {
		if waves[name] == 0 {
			waves[name] = last
		}
	}
	return waves, last
}

// addWaves sets the waves of the steps of services, if there is more than one wave and
// more than labels changes.
func (p *draft) addWaves(live LiveServices, want *compose.Stack) {
	if !p.disturbs() {
		return
	}
	waves, last := wavesOf(want)
	p.waitForPorts(live, want, waves)
	distinct := map[int]bool{}
	for _, wave := range waves {
		distinct[wave] = true
	}
	for i := range p.Steps {
		if step := &p.Steps[i]; step.Kind == Service && step.phase != phaseCronDown {
			step.Wave = waves[step.Name]
			if step.Wave == 0 || step.phase == phaseCronBack {
				step.Wave = last
			}
			distinct[step.Wave] = true
		}
	}
	if len(distinct) < 2 {
		for i := range p.Steps {
			p.Steps[i].Wave = 0
		}
		return
	}
	p.waves = waves
	p.releaseInWaves(live, want)
	p.warnOfLateJobs(want)
}

// warnOfLateJobs warns about jobs that deployment.waves does not name.
func (p *draft) warnOfLateJobs(want *compose.Stack) {
	if want.Waves == nil {
		return
	}
	for _, name := range OneShots(want) {
		if want.Waves[name] == 0 && compose.Wave(want.Services[name].Labels) == 0 && !isCron(want.Name, name) {
			p.Warnings = append(p.Warnings, fmt.Sprintf("%s ends by itself, and deployment.waves does not name it: it is in the last wave", name))
		}
	}
}

// Waves gives the waves for which an Apply of the plan waits, in order. Want is the stack
// that the plan was made for.
func (p Plan) Waves(want *compose.Stack) []Wave {
	var stops []Wave
	begun := 0
	for i, step := range p.Steps {
		if step.Wave <= begun {
			continue
		}
		begun = step.Wave
		if before := p.before(begun, want); len(before) > 0 {
			stops = append(stops, Wave{Number: begun, Before: i, Stack: Only(want, before), Later: p.later(i)})
		}
	}
	return stops
}

// before lists the services of the waves before the given one, without those that declare
// 0 replicas.
func (p Plan) before(wave int, want *compose.Stack) []string {
	return slices.DeleteFunc(keys(p.waves), func(name string) bool { return p.waves[name] >= wave || Idle(want.Services[name]) })
}

// later lists the services that no step before i writes, sorted. A cron service that was
// scaled down is not among them.
func (p Plan) later(i int) []string {
	var names []string
	for _, step := range p.Steps[i:] {
		touched := slices.ContainsFunc(p.Steps[:i], func(s Step) bool { return s.Kind == Service && s.Name == step.Name })
		if step.Kind == Service && !touched {
			names = append(names, step.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// verifyBefore gives the wait before a wave for an Apply without a Wait of its own.
func verifyBefore(e *Engine, plan Plan) func(context.Context, Wave) error {
	return func(ctx context.Context, wave Wave) error {
		result, err := e.Verify(ctx, wave.Stack, VerifyOptions{Changed: plan.Changed()})
		if err != nil {
			return err
		}
		return wave.Err(result)
	}
}
