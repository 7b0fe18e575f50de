package agent

import (
	"fmt"
	"strings"

	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
)

// summarise says in one line what a plan comes to, by action and kind.
func summarise(plan deploy.RecordedPlan) string {
	if plan.Empty() {
		return "in sync: nothing to change"
	}
	return report.PlanSummary(plan)
}

// planned is summarise for a plan that is still to be applied.
func planned(plan deploy.Plan) string { return report.PlanIntent(plan.RecordedPlan) }

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// eventText is a step for the progress of a command and the log.
func eventText(event deploy.Event) string {
	text := fmt.Sprintf("%s %s %s", event.Step.Action, event.Step.Kind, event.Step.Name)
	switch {
	case event.Err != nil:
		return text + ": " + event.Err.Error()
	case event.Done:
		return text + ": done"
	}
	return text
}

// waitingText says which services are still waited for.
func waitingText(result deploy.Result) string {
	ready := 0
	var waiting []string
	for _, service := range result.Services {
		if service.State == deploy.Converged {
			ready++
			continue
		}
		text := fmt.Sprintf("%s %d/%d", service.Name, service.Ready, service.Want)
		if service.Error != "" {
			text += " (" + service.Error + ")"
		}
		waiting = append(waiting, text)
	}
	text := fmt.Sprintf("%d of %d services ready", ready, len(result.Services))
	if len(waiting) > 3 {
		waiting = append(waiting[:3], fmt.Sprintf("and %d more", len(waiting)-3))
	}
	if len(waiting) > 0 {
		text += "; waiting for " + strings.Join(waiting, ", ")
	}
	return text
}
