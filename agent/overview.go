package agent

import (
	"slices"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// Status gives what is known of a stack. Of a node with several it gives the worst if none is
// named, with a line for each.
func (a *Agent) Status(key record.StackKey) (report.Status, error) {
	_, stacks, left := a.roster.known()
	if len(stacks)+len(left) == 1 {
		one, err := a.Desk(key)
		if err != nil {
			return report.Status{}, err
		}
		return one.Status(), nil
	}
	var all []report.Status
	var lines []report.StackLine
	for _, s := range slices.Concat(stacks, left) {
		status := s.desk.Status()
		all, lines = append(all, status), append(lines, report.NewStackLine(string(s.key), &status))
	}
	status := all[report.Worst(all)]
	if key != "" {
		asked, err := a.Desk(key)
		if err != nil {
			return report.Status{}, err
		}
		status = asked.Status()
	}
	status.Stacks = lines
	return status, nil
}

// leftOf says of a stack that it was taken off the list; nil if it was not.
func (a *Agent) leftOf(key record.StackKey) *report.Left {
	list, _, _ := a.roster.known()
	for _, one := range list.Left {
		if one.Key == key {
			said := &report.Left{Commit: one.Commit, Prune: one.Prune, Removes: one.Consent != nil, Kept: one.Kept}
			if first := after(list, key); first != "" && said.Removes {
				said.Kept = []string{"waits until the stack " + string(first) + " is removed, which came later in the list"}
			}
			if said.Removes && a.lists(one.Stack) {
				said.Kept = []string{"stays: a stack of the list has its name in Swarm"}
			}
			return said
		}
	}
	return nil
}
