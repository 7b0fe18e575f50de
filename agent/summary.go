package agent

import (
	"fmt"
	"slices"
	"strings"

	"coin.internal/coin-agent/deploy"
)

// summarise says in one line what a plan comes to, by action and kind.
func summarise(plan deploy.Plan) string {
	if plan.Empty() {
		return "in sync: nothing to change"
	}
	return tally(plan, done)
}

// planned is summarise for a plan that is still to be applied.
func planned(plan deploy.Plan) string { return tally(plan, toDo) }

func tally(plan deploy.Plan, verbs map[deploy.Action]string) string {
	type group struct {
		action deploy.Action
		kind   deploy.Kind
	}
	counts := map[group]int{}
	restarts := 0
	for _, step := range plan.Steps {
		if comesBack(plan, step) {
			continue
		}
		counts[group{step.Action, step.Kind}]++
		if step.Restarts && step.Action == deploy.Update {
			restarts++
		}
	}
	var parts []string
	for _, action := range []deploy.Action{deploy.Create, deploy.Update, deploy.Replace, deploy.Remove} {
		var objects []string
		for _, kind := range []deploy.Kind{deploy.Service, deploy.Secret, deploy.Config, deploy.Network} {
			if n := counts[group{action, kind}]; n > 0 {
				objects = append(objects, count(n, string(kind)))
			}
		}
		if len(objects) > 0 {
			parts = append(parts, strings.Join(objects, ", ")+" "+verbs[action])
		}
	}
	if restarts > 0 {
		parts = append(parts, count(restarts, "restart"))
	}
	return strings.Join(parts, "; ")
}

// comesBack says that a step does no more than bring a cron service back that the
// plan has scaled down before.
func comesBack(plan deploy.Plan, step deploy.Step) bool {
	down := slices.ContainsFunc(plan.Steps, func(s deploy.Step) bool { return s.Action == deploy.ScaleDown && s.Name == step.Name })
	return down && step.Action == deploy.Update && len(step.Changes) == 1 && step.Changes[0].Path == "Mode.Replicated.Replicas"
}

var done = map[deploy.Action]string{
	deploy.Create: "created", deploy.Update: "updated", deploy.Replace: "replaced", deploy.Remove: "removed",
}

var toDo = map[deploy.Action]string{
	deploy.Create: "to create", deploy.Update: "to update", deploy.Replace: "to replace", deploy.Remove: "to remove",
}

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
