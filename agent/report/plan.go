package report

import (
	"fmt"
	"slices"
	"strings"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/plural"
	"coin.internal/coin-agent/internal/visible"
)

// Tone is the kind of a Line, for an output with colours.
type Tone string

// The tones.
const (
	TonePlain   Tone = "plain"
	ToneAdd     Tone = "add"
	ToneUpdate  Tone = "update"
	ToneRemove  Tone = "remove"
	ToneQuiet   Tone = "quiet" // of little interest
	ToneWarning Tone = "warning"
)

// Line is one line of a plan as people read it.
type Line struct {
	Tone Tone
	Text string
}

// PlanLines gives the lines of a plan for people, in order of application. `agent diff`,
// `agent show`, the rollback report and the documentation use it.
func PlanLines(plan deploy.RecordedPlan) []Line {
	var lines []Line
	add := func(tone Tone, format string, args ...any) {
		lines = append(lines, Line{tone, visible.Line(fmt.Sprintf(format, args...))})
	}
	for _, warning := range plan.Warnings {
		add(ToneWarning, "warning: %s", warning)
	}
	for _, ignored := range plan.Ignored {
		add(ToneQuiet, "ignored: %s", IgnoredText(plan.Stack, ignored))
	}
	still, restarting := takenOver(plan)
	if len(still) > 0 {
		add(TonePlain, "takes over from docker stack deploy without restarting a task: %s", strings.Join(still, ", "))
	}
	if len(restarting) > 0 {
		add(ToneWarning, "takes over from docker stack deploy with a restart, because they differ: %s", strings.Join(restarting, ", "))
	}
	if plan.Empty() {
		add(TonePlain, "no difference: the stack %s is in sync", plan.Stack)
		return append(lines, grantLines(plan.Grants)...)
	}
	first, last := waves(plan)
	wave := 0
	for _, step := range plan.Steps {
		if first < last && step.Wave > wave {
			wave = step.Wave
			text := "wave %d"
			if wave > first {
				text += ", when the earlier waves are healthy"
			}
			add(ToneQuiet, text, wave)
		}
		if scalesUp(plan, step) {
			add(ToneQuiet, "%s", stepLine(step, "scales up again"))
			continue
		}
		add(stepTones[step.Action], "%s", stepLine(step, effect(step)))
		for _, text := range details(step) {
			add(changeTone(text), "             %s", text)
		}
	}
	lines = append(lines, grantLines(plan.Grants)...)
	add(TonePlain, "%s; plan %.10s…", PlanIntent(plan), plan.Digest())
	return lines
}

// grantLines gives the section of a plan that says what lets containers act on the node or
// on others.
func grantLines(grants []compose.Grant) []Line {
	if len(grants) == 0 {
		return nil
	}
	lines := []Line{{TonePlain, "Grants: what lets containers act on the node or on others (+ new, = as before)"}}
	for _, grant := range grants {
		tone, mark := ToneWarning, "+ "
		if grant.Kept {
			tone, mark = TonePlain, "= "
		}
		lines = append(lines, Line{tone, "  " + mark + GrantText(grant)})
	}
	return lines
}

// GrantText gives a grant in one line.
func GrantText(grant compose.Grant) string {
	return visible.Line(fmt.Sprintf("%s: %s: %s", grant.Service, grant.What, grant.Why))
}

// Summary sums up an applied plan in one line: "1 service, 2 secrets created; 3 services
// updated (5 tasks of 2 services restarted, 1 label-only)".
func Summary(plan deploy.RecordedPlan) string {
	if plan.Empty() {
		return "in sync: nothing to change"
	}
	return summary(plan, false)
}

// PlanIntent sums up a plan that is not applied yet: "1 service to create".
func PlanIntent(plan deploy.RecordedPlan) string { return summary(plan, true) }

// PlanDocument is a plan for machines, as `agent diff -o json` prints it: the fields of
// the plan (stack, steps, adopted, warnings, ignored), and
//
//	digest   hexadecimal SHA-256 of what the plan does; equal plans have equal digests
//	summary  the plan in one line
//
// A step has action (create, update, replace, scale-down, remove), kind (network, secret,
// config, service), name, wave (of a service, counted from 1; 0 if the stack has one
// wave), restarts, tasks (how many are restarted, started or stopped), sum (of what is
// written), changes, and has (what a created service has). A change has path (in the engine's spec), old and new; "" means
// not set. What looks secret is ***; if only the masked parts differ, old equals new. A
// grant has service, what, why (what the service's containers can do by it), and kept: the live
// service has it already.
type PlanDocument struct {
	Stack    string           `json:"stack"`
	Steps    []deploy.Step    `json:"steps"`
	Adopted  []string         `json:"adopted,omitempty"`
	Warnings []string         `json:"warnings,omitempty"`
	Ignored  []deploy.Ignored `json:"ignored,omitempty"`
	Grants   []compose.Grant  `json:"grants,omitempty"`
	Digest   string           `json:"digest"`
	Summary  string           `json:"summary"`
}

// NewPlanDocument gives the plan for machines.
func NewPlanDocument(plan deploy.RecordedPlan) PlanDocument {
	return PlanDocument{
		Stack: plan.Stack, Steps: plan.Steps, Adopted: plan.Adopted, Warnings: plan.Warnings, Ignored: plan.Ignored, Grants: plan.Grants,
		Digest: plan.Digest(), Summary: PlanIntent(plan),
	}
}

// Recorded gives the plan that the document is of.
func (d PlanDocument) Recorded() deploy.RecordedPlan {
	return deploy.RecordedPlan{
		Stack: d.Stack, Steps: d.Steps, Adopted: d.Adopted, Warnings: d.Warnings, Ignored: d.Ignored, Grants: d.Grants, Sum: d.Digest,
	}
}

// takenOver divides the adopted services by whether their tasks restart.
func takenOver(plan deploy.RecordedPlan) (still, restarting []string) {
	for _, name := range plan.Adopted {
		if slices.ContainsFunc(plan.Steps, func(s deploy.Step) bool {
			return s.Kind == deploy.Service && s.Name == name && s.Restarts && s.Action != deploy.ScaleDown
		}) {
			restarting = append(restarting, name)
		} else {
			still = append(still, name)
		}
	}
	return still, restarting
}

// waves gives the first and the last wave that the plan writes; 0 if it has no waves.
func waves(plan deploy.RecordedPlan) (first, last int) {
	for _, step := range plan.Steps {
		if first == 0 || step.Wave > 0 && step.Wave < first {
			first = step.Wave
		}
		last = max(last, step.Wave)
	}
	return first, last
}

func summary(plan deploy.RecordedPlan, ahead bool) string {
	if plan.Empty() {
		return "nothing to change"
	}
	var parts []string
	for _, one := range []struct {
		action     deploy.Action
		done, toDo string
	}{
		{deploy.Create, "created", "to create"},
		{deploy.Update, "updated", "to update"},
		{deploy.Replace, "replaced", "to replace"},
		{deploy.Remove, "removed", "to remove"},
	} {
		verb := one.done
		if ahead {
			verb = one.toDo
		}
		if counts := objects(plan, one.action); counts != "" {
			parts = append(parts, counts+" "+verb+consequences(plan, one.action, ahead))
		}
	}
	if count := paused(plan); count > 0 {
		verb := " paused"
		if ahead {
			verb = " to pause"
		}
		parts = append(parts, plural.Count(count, "cron service")+verb+" during the rollout")
	}
	return strings.Join(parts, "; ")
}

// objects counts the objects of an action by kind.
func objects(plan deploy.RecordedPlan, action deploy.Action) string {
	var counts []string
	for _, kind := range []deploy.Kind{deploy.Service, deploy.Secret, deploy.Config, deploy.Network} {
		count := uint64(0)
		for _, step := range plan.Steps {
			if step.Action == action && step.Kind == kind && !scalesUp(plan, step) {
				count++
			}
		}
		if count > 0 {
			counts = append(counts, plural.Count(count, string(kind)))
		}
	}
	return strings.Join(counts, ", ")
}

// consequences says what updates do, or did, to tasks.
func consequences(plan deploy.RecordedPlan, action deploy.Action, ahead bool) string {
	if action != deploy.Update && action != deploy.Replace {
		return ""
	}
	var tasks, services, labels uint64
	for _, step := range plan.Steps {
		switch {
		case step.Action != action || scalesUp(plan, step):
		case step.Restarts:
			services++
			tasks += step.Tasks
		case step.LabelsOnly():
			labels++
		}
	}
	var notes []string
	if services > 0 {
		verb := "restarted"
		switch {
		case ahead && tasks == 1:
			verb = "restarts"
		case ahead:
			verb = "restart"
		}
		notes = append(notes, fmt.Sprintf("%s of %s %s", plural.Count(tasks, "task"), plural.Count(services, "service"), verb))
	}
	if labels > 0 {
		notes = append(notes, fmt.Sprintf("%d label-only", labels))
	}
	if len(notes) == 0 {
		return ""
	}
	return " (" + strings.Join(notes, ", ") + ")"
}

// scalesUp reports whether a step only scales up a cron service that the plan scaled
// down.
func scalesUp(plan deploy.RecordedPlan, step deploy.Step) bool {
	down := slices.ContainsFunc(plan.Steps, func(s deploy.Step) bool { return s.Action == deploy.ScaleDown && s.Name == step.Name })
	return down && step.Action == deploy.Update && len(step.Changes) == 1 && step.Changes[0].Path == "Mode.Replicated.Replicas"
}

// paused counts the cron services that are only scaled down and up again.
func paused(plan deploy.RecordedPlan) uint64 {
	count := uint64(0)
	for _, step := range plan.Steps {
		if scalesUp(plan, step) {
			count++
		}
	}
	return count
}

var stepTones = map[deploy.Action]Tone{
	deploy.Create: ToneAdd, deploy.Update: ToneUpdate, deploy.Replace: ToneUpdate, deploy.Remove: ToneRemove,
	deploy.ScaleDown: ToneQuiet, deploy.ScaleUp: ToneQuiet,
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

// details gives what the first line of a step does not contain: the changes of an update,
// and what a created service has.
func details(step deploy.Step) []string {
	var texts []string
	for _, change := range step.Has {
		texts = append(texts, ChangeText(change))
	}
	if step.Action != deploy.Update && step.Action != deploy.Replace || step.RunsAgain() {
		return texts
	}
	image := slices.ContainsFunc(step.Changes, func(c deploy.Change) bool { return c.Path == "TaskTemplate.ContainerSpec.Image" })
	for _, change := range step.Changes {
		if image && change.Path == "Labels["+compose.LabelImage+"]" {
			continue // it repeats the image
		}
		texts = append(texts, ChangeText(change))
	}
	return texts
}
