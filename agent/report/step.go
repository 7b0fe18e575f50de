package report

import (
	"fmt"
	"slices"
	"strings"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/plural"
)

func stepTone(action deploy.Action) Tone {
	switch action {
	case deploy.Create:
		return ToneAdd
	case deploy.Update, deploy.Replace:
		return ToneUpdate
	case deploy.Remove:
		return ToneRemove
	case deploy.ScaleDown, deploy.ScaleUp:
		return ToneQuiet
	}
	return TonePlain
}

func changeTone(text string) Tone {
	switch text[0] {
	case '+':
		return ToneAdd
	case '-':
		return ToneRemove
	}
	return TonePlain
}

// stepLine gives a step in one line: the action, the object and the effect.
func stepLine(step deploy.Step, effect string) string {
	text := fmt.Sprintf("%-10s %-7s %s", step.Action, step.Kind, step.Name)
	if effect != "" {
		text += "  (" + effect + ")"
	}
	return text
}

// effect says what a step does apart from the changes of an update.
func effect(step deploy.Step) string {
	var parts []string
	if step.Action == deploy.Create {
		for _, change := range step.Changes {
			label, _, value := sides(change)
			parts = append(parts, label+" "+value)
		}
	}
	if step.Kind == deploy.Service {
		parts = append(parts, onTasks(step))
	}
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), ", ")
}

// onTasks says what a step does to the tasks of its service.
func onTasks(step deploy.Step) string {
	switch tasks := plural.Count(step.Tasks, "task"); {
	case step.LabelsOnly():
		return "labels only, no restart"
	case step.Action == deploy.Create && step.Tasks == 0: // global: a task on each node
		return ""
	case step.Action == deploy.Create:
		return "starts " + tasks
	case step.Action == deploy.Remove, step.Action == deploy.ScaleDown:
		return "stops " + tasks
	case step.RunsAgain():
		return "runs again because it failed"
	case step.Restarts:
		return "restarts " + tasks
	case slices.ContainsFunc(step.Changes, isPlacement):
		return "no restart, but tasks move away from nodes that are now excluded"
	}
	return "no restart"
}

func isPlacement(c deploy.Change) bool {
	return strings.HasPrefix(c.Path, "TaskTemplate.Placement.Constraints")
}

// details gives the changes of an update, which its first line does not contain.
func details(step deploy.Step) []string {
	if step.Action != deploy.Update && step.Action != deploy.Replace || step.RunsAgain() {
		return nil
	}
	image := slices.ContainsFunc(step.Changes, func(c deploy.Change) bool { return c.Path == "TaskTemplate.ContainerSpec.Image" })
	var texts []string
	for _, change := range step.Changes {
		if image && change.Path == "Labels["+compose.LabelImage+"]" {
			continue // it repeats the image
		}
		texts = append(texts, ChangeText(change))
	}
	return texts
}
