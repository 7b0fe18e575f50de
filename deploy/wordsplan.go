package deploy

import (
	"fmt"
	"slices"
	"strings"

	"coin.internal/coin-agent/compose"
)

// Tone says what kind of line a Line is, for whoever has colours.
type Tone string

// The tones.
const (
	Plain   Tone = "plain"
	Adding  Tone = "adding"
	Editing Tone = "editing"
	Taking  Tone = "taking" // something is removed
	Quiet   Tone = "quiet"  // of little interest
	Warning Tone = "warning"
)

// Line is one line of a plan as people read it.
type Line struct {
	Tone Tone
	Text string
}

// Lines says the plan as people read it, in order of application. It is the one
// rendering of a plan: `agent diff`, `agent sync --dry-run` and the documentation
// have it.
func (p RecordedPlan) Lines() []Line {
	var lines []Line
	add := func(tone Tone, format string, args ...any) {
		lines = append(lines, Line{tone, fmt.Sprintf(format, args...)})
	}
	for _, warning := range p.Warnings {
		add(Warning, "warning: %s", warning)
	}
	still, restarting := p.takenOver()
	if len(still) > 0 {
		add(Plain, "taken over from docker stack deploy without restarting a task: %s", strings.Join(still, ", "))
	}
	if len(restarting) > 0 {
		add(Warning, "taken over from docker stack deploy with a restart, since they differ: %s", strings.Join(restarting, ", "))
	}
	if p.Empty() {
		add(Plain, "no difference: the stack %s is what the repository says", p.Stack)
		return lines
	}
	several, wave := p.severalWaves(), 0
	for _, step := range p.Steps {
		if several && step.Wave > wave {
			wave = step.Wave
			add(Quiet, "wave %d%s", wave, p.after(wave))
		}
		if p.comesBack(step) {
			add(Quiet, "%s", line(step, "comes back"))
			continue
		}
		add(tones[step.Action], "%s", step.Words())
		for _, text := range step.details() {
			add(toneOf(text), "             %s", text)
		}
	}
	add(Plain, "%s; plan %.10s…", p.Summary(), p.Digest())
	return lines
}

// takenOver parts the adopted services by whether their tasks restart.
func (p RecordedPlan) takenOver() (still, restarting []string) {
	for _, name := range p.Adopted {
		if slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Kind == Service && s.Name == name && s.Restarts && s.Action != ScaleDown }) {
			restarting = append(restarting, name)
		} else {
			still = append(still, name)
		}
	}
	return still, restarting
}

var tones = map[Action]Tone{Create: Adding, Update: Editing, Replace: Editing, Remove: Taking, ScaleDown: Quiet}

func toneOf(change string) Tone {
	switch change[0] {
	case '+':
		return Adding
	case '-':
		return Taking
	}
	return Plain
}

// Words says a step in one line: what happens to what, and what that does to the
// tasks.
func (s Step) Words() string { return line(s, s.effect()) }

func line(step Step, effect string) string {
	text := fmt.Sprintf("%-10s %-7s %s", step.Action, step.Kind, step.Name)
	if effect != "" {
		text += "  (" + effect + ")"
	}
	return text
}

// effect says what a step does beside what its changes say.
func (s Step) effect() string {
	var parts []string
	if s.Action == Create {
		for _, change := range s.Changes {
			_, _, value := change.sides()
			parts = append(parts, change.Label()+" "+value)
		}
	}
	if s.Kind != Service {
		return strings.Join(parts, ", ")
	}
	switch tasks := counted(s.Tasks, "task"); {
	case s.LabelsOnly():
		parts = append(parts, "labels only, no restart")
	case s.Action == Create && s.Tasks == 0: // global: a task on each node
	case s.Action == Create:
		parts = append(parts, "starts "+tasks)
	case s.Action == Remove, s.Action == ScaleDown:
		parts = append(parts, "stops "+tasks)
	case s.runsAgain():
		parts = append(parts, "runs again: it has failed")
	case s.Restarts:
		parts = append(parts, "restarts "+tasks)
	case slices.ContainsFunc(s.Changes, isPlacement):
		parts = append(parts, "no restart, but tasks move away from nodes that are now excluded")
	default:
		parts = append(parts, "no restart")
	}
	return strings.Join(parts, ", ")
}

func isPlacement(c Change) bool {
	return strings.HasPrefix(c.Path, "TaskTemplate.Placement.Constraints")
}

// details are the changes of a step that its first line does not tell.
func (s Step) details() []string {
	if s.Action != Update && s.Action != Replace {
		return nil
	}
	imageChanges := slices.ContainsFunc(s.Changes, func(c Change) bool { return c.Path == imagePath })
	var texts []string
	for _, change := range s.Changes {
		if s.runsAgain() {
			break // its first line says so
		}
		if imageChanges && change.Path == "Labels["+compose.LabelImage+"]" {
			continue // it says the same
		}
		texts = append(texts, change.Words())
	}
	return texts
}

const imagePath = "TaskTemplate.ContainerSpec.Image"

// participles are the actions as a summary has them, in its order.
var participles = []struct {
	action Action
	done   string
	toDo   string
}{
	{Create, "created", "to create"},
	{Update, "updated", "to update"},
	{Replace, "replaced", "to replace"},
	{Remove, "removed", "to remove"},
}

// Summary says in one line what the plan comes to, as if it were done: "1 service,
// 2 secrets created; 3 services updated (5 tasks of 2 services restart, 1 label-only)".
func (p RecordedPlan) Summary() string { return p.summary(false) }

// Intent is Summary for a plan that is still to be applied: "1 service to create".
func (p RecordedPlan) Intent() string { return p.summary(true) }

func (p RecordedPlan) summary(ahead bool) string {
	if p.Empty() {
		return "nothing to change"
	}
	var parts []string
	for _, one := range participles {
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
func (p RecordedPlan) objects(action Action) string {
	var objects []string
	for _, kind := range []Kind{Service, Secret, Config, Network} {
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
func (p RecordedPlan) consequences(action Action) string {
	if action != Update && action != Replace {
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
func (p RecordedPlan) comesBack(step Step) bool {
	down := slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Action == ScaleDown && s.Name == step.Name })
	return down && step.Action == Update && len(step.Changes) == 1 && step.Changes[0].Path == "Mode.Replicated.Replicas"
}

// paused counts the cron services that do nothing but stop and come back.
func (p RecordedPlan) paused() uint64 {
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

// Document is a plan for machines, as `agent diff -o json` prints it: the plan's
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
type Document struct {
	RecordedPlan
	Digest  string `json:"digest"`
	Summary string `json:"summary"`
}

// Document gives the plan for machines.
func (p RecordedPlan) Document() Document {
	return Document{RecordedPlan: p, Digest: p.Digest(), Summary: p.Summary()}
}
