package rollout

import (
	"slices"
	"strings"

	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
)

// namedBack gives the services that a rollback is about, by their names in the engine; none for the
// whole stack.
func namedBack(base Base, to *record.GoodState, goal Rollback) ([]string, error) {
	if len(goal.Services) == 0 {
		return nil, nil
	}
	var stacks []*compose.Stack
	for _, state := range []*record.GoodState{to, base.Deployed} {
		if state == nil {
			continue
		}
		stack, err := drift.Applied(state)
		if err != nil {
			return nil, err
		}
		stacks = append(stacks, stack)
	}
	return fullNames(goal.Services, stacks...)
}

// fullNames gives services by their names in the engine, sorted. A user names one in full, or as the
// compose file has it. A name that is both, of two services of the stacks, is refused.
func fullNames(services []string, stacks ...*compose.Stack) ([]string, error) {
	has := func(full string) bool {
		return slices.ContainsFunc(stacks, func(s *compose.Stack) bool { _, is := s.Services[full]; return is })
	}
	var names []string
	for _, name := range services {
		full := stacks[0].Name + "_" + name
		short, prefixed := strings.CutPrefix(name, stacks[0].Name+"_")
		switch {
		case prefixed && has(name) && has(full):
			return nil, fault.New(fault.Place{}, "name it "+short+" or "+full, "%q names two services: %s and %s", name, name, full)
		case prefixed && !has(full):
			full = name
		}
		names = append(names, full)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
