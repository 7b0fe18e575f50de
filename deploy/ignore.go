package deploy

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

// Ignored is a field of a service that the stack ignores, and in what it differs.
type Ignored struct {
	Service string   `json:"service"` // full name
	Field   string   `json:"field"`   // its name in drift_ignore
	Until   string   `json:"until,omitempty"`
	Reason  string   `json:"reason"`
	Changes []Change `json:"changes,omitempty"` // from the live value, which stays, to the declared one
}

// ignorable is a field that drift_ignore can name.
type ignorable struct {
	name  string
	paths []string // where its changes are
	take  func(want, live *swarm.ServiceSpec)
}

// ignorables lists the fields that drift_ignore can name.
func ignorables() []ignorable {
	const task, container = "TaskTemplate.", "TaskTemplate.ContainerSpec."
	return []ignorable{
		{"replicas", []string{"Mode.Replicated.Replicas"}, takeReplicas},
		{"image", []string{container + "Image", "Labels[" + compose.LabelImage + "]"}, takeImage},
		{"environment", []string{container + "Env"}, inContainer(func(want, live *swarm.ContainerSpec) { want.Env = live.Env })},
		{"labels", []string{"Labels["}, takeLabels},
		{"constraints", []string{task + "Placement.Constraints"}, takeConstraints},
		{"limits", []string{task + "Resources.Limits"}, inResources(func(want, live *swarm.ResourceRequirements) { want.Limits = live.Limits })},
		{"reservations", []string{task + "Resources.Reservations"}, inResources(func(want, live *swarm.ResourceRequirements) { want.Reservations = live.Reservations })},
		{"update_config", []string{"UpdateConfig"}, func(want, live *swarm.ServiceSpec) { want.UpdateConfig = live.UpdateConfig }},
		{"rollback_config", []string{"RollbackConfig"}, func(want, live *swarm.ServiceSpec) { want.RollbackConfig = live.RollbackConfig }},
		{"restart_policy", []string{task + "RestartPolicy"}, func(want, live *swarm.ServiceSpec) { want.TaskTemplate.RestartPolicy = live.TaskTemplate.RestartPolicy }},
	}
}

func takeReplicas(want, live *swarm.ServiceSpec) {
	if modeName(want.Mode) == "replicated" && modeName(live.Mode) == "replicated" {
		count := replicas(*live)
		want.Mode = swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &count}}
	}
}

func takeImage(want, live *swarm.ServiceSpec) {
	inContainer(func(want, live *swarm.ContainerSpec) { want.Image = live.Image })(want, live)
	want.Labels = maps.Clone(want.Labels)
	if text, has := live.Labels[compose.LabelImage]; has {
		want.Labels[compose.LabelImage] = text
	} else {
		delete(want.Labels, compose.LabelImage)
	}
}

// takeLabels takes the labels that are neither the agent's nor those of Docker's stacks.
func takeLabels(want, live *swarm.ServiceSpec) {
	declared := func(name string, _ string) bool {
		return strings.HasPrefix(name, compose.LabelPrefix) || name == compose.LabelStack || name == compose.LabelImage
	}
	labels := maps.Clone(live.Labels)
	maps.DeleteFunc(labels, declared)
	for name, value := range want.Labels {
		if declared(name, value) {
			labels[name] = value
		}
	}
	want.Labels = labels
}

func takeConstraints(want, live *swarm.ServiceSpec) {
	fill(&want.TaskTemplate.Placement, &swarm.Placement{})
	want.TaskTemplate.Placement.Constraints = nil
	if placement := live.TaskTemplate.Placement; placement != nil {
		want.TaskTemplate.Placement.Constraints = placement.Constraints
	}
}

// inContainer gives the function that takes a field of the container.
func inContainer(take func(want, live *swarm.ContainerSpec)) func(want, live *swarm.ServiceSpec) {
	return func(want, live *swarm.ServiceSpec) {
		if want.TaskTemplate.ContainerSpec != nil && live.TaskTemplate.ContainerSpec != nil {
			take(want.TaskTemplate.ContainerSpec, live.TaskTemplate.ContainerSpec)
		}
	}
}

// inResources gives the function that takes a field of the resources. Resources that are
// not set anywhere stay so: empty ones restart tasks.
func inResources(take func(want, live *swarm.ResourceRequirements)) func(want, live *swarm.ServiceSpec) {
	return func(want, live *swarm.ServiceSpec) {
		of, is := &want.TaskTemplate.Resources, live.TaskTemplate.Resources
		if *of == nil && is == nil {
			return
		}
		fill(of, &swarm.ResourceRequirements{})
		fill(&is, &swarm.ResourceRequirements{})
		take(*of, is)
		if live.TaskTemplate.Resources == nil && **of == (swarm.ResourceRequirements{}) {
			*of = nil
		}
	}
}

// keep gives a wanted service with the live values of the fields that the stack ignores. The
// agent itself scales cron services, so their replicas are not ignored.
func keep(stack *compose.Stack, name string, live swarm.ServiceSpec) swarm.ServiceSpec {
	want, rules := stack.Services[name], stack.Ignored[name]
	if len(rules) == 0 || live.Name == "" {
		return want
	}
	want, live = clone(want), clone(live)
	for _, rule := range rules {
		if field, known := ignorableOf(rule.Field); known && (rule.Field != "replicas" || !isCron(stack.Name, name)) {
			field.take(&want, &live)
		}
	}
	return want
}

func ignorableOf(name string) (ignorable, bool) {
	all := ignorables()
	i := slices.IndexFunc(all, func(one ignorable) bool { return one.name == name })
	if i < 0 {
		return ignorable{}, false
	}
	return all[i], true
}

// has tells whether a change is one of the field.
func (i ignorable) has(change Change) bool {
	return slices.ContainsFunc(i.paths, func(path string) bool { return strings.HasPrefix(change.Path, path) })
}

// IgnoredIn lists the fields that a stack ignores in its live services, with their
// differences, in order.
func IgnoredIn(live LiveServices, want *compose.Stack) []Ignored {
	var all []Ignored
	for _, name := range keys(want.Ignored) {
		existing, exists := live[name]
		spec, wanted := want.Services[name]
		if !exists || !wanted {
			continue
		}
		changes := serviceChanges(existing.Spec, spec)
		for _, rule := range want.Ignored[name] {
			field, _ := ignorableOf(rule.Field)
			all = append(all, Ignored{
				Service: name, Field: rule.Field, Until: rule.Until, Reason: rule.Reason,
				Changes: slices.DeleteFunc(slices.Clone(changes), func(c Change) bool { return !field.has(c) }),
			})
		}
	}
	return all
}

// IgnoreAt gives a stack without the ignored fields that count again at a time.
func IgnoreAt(stack *compose.Stack, now time.Time) *compose.Stack {
	return ignoreIf(stack, func(_ string, rule compose.Ignored) bool { return !rule.Over(now) })
}

// IgnoreUnchanged gives a stack that writes the ignored fields whose declared value differs
// from the one before, and those that an unverified plan has written.
func IgnoreUnchanged(stack, before *compose.Stack, written []RecordedPlan) *compose.Stack {
	return ignoreIf(stack, func(name string, rule compose.Ignored) bool {
		field, _ := ignorableOf(rule.Field)
		for _, plan := range written {
			for _, step := range plan.Steps {
				if step.Kind == Service && step.Name == name && (step.Action == Create || slices.ContainsFunc(step.Changes, field.has)) {
					return false
				}
			}
		}
		old, was := before.Services[name]
		return !was || !declaresOther(field, old, stack.Services[name])
	})
}

// IgnoreSame gives a stack that writes the ignored fields whose differences from the live
// values are others than those of the applied stack: their declared values changed. Of an
// image, which may have no digest yet, its text counts.
func IgnoreSame(stack *compose.Stack, applied, now []Ignored) *compose.Stack {
	return ignoreIf(stack, func(name string, rule compose.Ignored) bool {
		of := func(i Ignored) bool { return i.Service == name && i.Field == rule.Field }
		was, is := slices.IndexFunc(applied, of), slices.IndexFunc(now, of)
		digest := func(c Change) bool { return strings.HasSuffix(c.Path, "ContainerSpec.Image") }
		texts := func(i Ignored) []Change { return slices.DeleteFunc(slices.Clone(i.Changes), digest) }
		return was < 0 || is < 0 || slices.Equal(texts(applied[was]), texts(now[is]))
	})
}

// declaresOther tells whether two specs declare different values of a field. An image is
// compared by its text: the digest of a tag may have moved.
func declaresOther(field ignorable, old, now swarm.ServiceSpec) bool {
	changes := serviceChanges(old, now)
	if field.name == "image" && old.Labels[compose.LabelImage] != "" {
		return old.Labels[compose.LabelImage] != now.Labels[compose.LabelImage]
	}
	return slices.ContainsFunc(changes, field.has)
}

// ignoreIf gives a stack with those of its ignored fields that keep accepts.
func ignoreIf(stack *compose.Stack, keep func(name string, rule compose.Ignored) bool) *compose.Stack {
	some := *stack
	some.Ignored = map[string][]compose.Ignored{}
	for name, rules := range stack.Ignored {
		rules = slices.DeleteFunc(slices.Clone(rules), func(rule compose.Ignored) bool { return !keep(name, rule) })
		if len(rules) > 0 {
			some.Ignored[name] = rules
		}
	}
	return &some
}
