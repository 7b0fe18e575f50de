package desk

import (
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// Overview gives a line for each of several stacks, and the status of the worst.
func Overview[S any](stacks []S, of func(S) (record.StackKey, *Desk)) (lines []report.StackLine, worst report.Status) {
	var all []report.Status
	for _, one := range stacks {
		key, desk := of(one)
		status := desk.Status()
		all, lines = append(all, status), append(lines, report.NewStackLine(string(key), &status))
	}
	return lines, all[report.Worst(all)]
}
