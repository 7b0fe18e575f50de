package report

import (
	"fmt"
	"slices"
	"strings"

	"coin.internal/coin-agent/deploy"
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

// PlanLines says a plan as people read it, in order of application. It is the one
// rendering of a plan: `agent diff`, `agent show`, the rollback report and the
// documentation have it.
func PlanLines(plan deploy.RecordedPlan) []Line {
	p := planText{plan}
	var lines []Line
	add := func(tone Tone, format string, args ...any) {
		lines = append(lines, Line{tone, fmt.Sprintf(format, args...)})
	}
	for _, warning := range p.Warnings {
		add(ToneWarning, "warning: %s", warning)
	}
	still, restarting := p.takenOver()
	if len(still) > 0 {
		add(TonePlain, "taken over from docker stack deploy without restarting a task: %s", strings.Join(still, ", "))
	}
	if len(restarting) > 0 {
		add(ToneWarning, "taken over from docker stack deploy with a restart, since they differ: %s", strings.Join(restarting, ", "))
	}
	if p.Empty() {
		add(TonePlain, "no difference: the stack %s is what the repository says", p.Stack)
		return lines
	}
	several, wave := p.severalWaves(), 0
	for _, step := range p.Steps {
		if several && step.Wave > wave {
			wave = step.Wave
			add(ToneQuiet, "wave %d%s", wave, p.after(wave))
		}
		if p.comesBack(step) {
			add(ToneQuiet, "%s", stepLine(step, "comes back"))
			continue
		}
		add(stepTone(step.Action), "%s", stepLine(step, effect(step)))
		for _, text := range details(step) {
			add(changeTone(text), "             %s", text)
		}
	}
	add(TonePlain, "%s; plan %.10s…", PlanSummary(plan), p.Digest())
	return lines
}

// PlanSummary says in one line what the plan comes to, as if it were done: "1 service,
// 2 secrets created; 3 services updated (5 tasks of 2 services restart, 1 label-only)".
func PlanSummary(plan deploy.RecordedPlan) string { return planText{plan}.summary(false) }

// PlanIntent is PlanSummary for a plan that is still to be applied: "1 service to
// create".
func PlanIntent(plan deploy.RecordedPlan) string { return planText{plan}.summary(true) }

// PlanDocument is a plan for machines, as `agent diff -o json` prints it: the plan's
// own fields (stack, steps, adopted, warnings), and beside them
//
//	digest   hexadecimal SHA-256 of what the plan does; equal plans have equal digests
//	summary  the plan in one line
//
// A step has action (create, update, replace, scale-down, remove), kind (network,
// secret, config, service), name, wave (of a service, counted from 1; 0 where the
// stack has but one), restarts, tasks (how many are restarted, started
// or stopped), sum (of what is written) and changes; a change has path (in the
// engine's spec), old and new, "" where it is not set. What looks secret is ***,
// and old and new are equal where they differ in what is hidden alone.
type PlanDocument struct {
	deploy.RecordedPlan
	Digest  string `json:"digest"`
	Summary string `json:"summary"`
}

// NewPlanDocument gives the plan for machines.
func NewPlanDocument(plan deploy.RecordedPlan) PlanDocument {
	return PlanDocument{RecordedPlan: plan, Digest: plan.Digest(), Summary: PlanSummary(plan)}
}

// planText makes the words of a plan.
type planText struct{ deploy.RecordedPlan }

// takenOver parts the adopted services by whether their tasks restart.
func (p planText) takenOver() (still, restarting []string) {
	for _, name := range p.Adopted {
		if slices.ContainsFunc(p.Steps, func(s deploy.Step) bool {
			return s.Kind == deploy.Service && s.Name == name && s.Restarts && s.Action != deploy.ScaleDown
		}) {
			restarting = append(restarting, name)
		} else {
			still = append(still, name)
		}
	}
	return still, restarting
}

// severalWaves tells whether services of more than one wave are written.
func (p planText) severalWaves() bool {
	first := 0
	for _, step := range p.Steps {
		if first == 0 {
			first = step.Wave
		}
		if step.Wave > first {
			return true
		}
	}
	return false
}

// after says what a wave waits for: "" for the first of the plan.
func (p planText) after(wave int) string {
	for _, step := range p.Steps {
		if step.Wave > 0 && step.Wave < wave {
			return ", once what is in the waves before it is well"
		}
	}
	return ""
}

func (p planText) summary(ahead bool) string {
	if p.Empty() {
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
		if objects := p.objects(one.action); objects != "" {
			parts = append(parts, objects+" "+verb+p.consequences(one.action))
		}
	}
	if paused := p.paused(); paused > 0 {
		parts = append(parts, counted(paused, "cron service")+" paused meanwhile")
	}
	return strings.Join(parts, "; ")
}

// objects counts the objects of an action by kind.
func (p planText) objects(action deploy.Action) string {
	var objects []string
	for _, kind := range []deploy.Kind{deploy.Service, deploy.Secret, deploy.Config, deploy.Network} {
		count := uint64(0)
		for _, step := range p.Steps {
			if step.Action == action && step.Kind == kind && !p.comesBack(step) {
				count++
			}
		}
		if count > 0 {
			objects = append(objects, counted(count, string(kind)))
		}
	}
	return strings.Join(objects, ", ")
}

// consequences says what updates do to tasks.
func (p planText) consequences(action deploy.Action) string {
	if action != deploy.Update && action != deploy.Replace {
		return ""
	}
	var tasks, services, labels uint64
	for _, step := range p.Steps {
		switch {
		case step.Action != action || p.comesBack(step):
		case step.Restarts:
			services++
			tasks += step.Tasks
		case step.LabelsOnly():
			labels++
		}
	}
	var notes []string
	if services > 0 {
		verb := "restart"
		if tasks == 1 {
			verb = "restarts"
		}
		notes = append(notes, fmt.Sprintf("%s of %s %s", counted(tasks, "task"), counted(services, "service"), verb))
	}
	if labels > 0 {
		notes = append(notes, fmt.Sprintf("%d label-only", labels))
	}
	if len(notes) == 0 {
		return ""
	}
	return " (" + strings.Join(notes, ", ") + ")"
}

// comesBack says that a step does no more than bring a cron service back that the
// plan has scaled down before.
func (p planText) comesBack(step deploy.Step) bool {
	down := slices.ContainsFunc(p.Steps, func(s deploy.Step) bool { return s.Action == deploy.ScaleDown && s.Name == step.Name })
	return down && step.Action == deploy.Update && len(step.Changes) == 1 && step.Changes[0].Path == "Mode.Replicated.Replicas"
}

// paused counts the cron services that do nothing but stop and come back.
func (p planText) paused() uint64 {
	count := uint64(0)
	for _, step := range p.Steps {
		if p.comesBack(step) {
			count++
		}
	}
	return count
}

func counted(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
