package policy

import (
	"slices"
	"strings"
)

// judgePlacement refuses services that lack a constraint.
func judgePlacement(j *judgement) {
	for _, service := range j.services {
		has := constraints(service)
		for _, want := range j.policy.Placement.Of(service.name) {
			if !slices.Contains(has, constraint(want)) {
				j.refuse("placement", service.name, j.place(service.name, "deploy", "placement", "constraints"), "add it below deploy.placement.constraints",
					"lacks the constraint %s", constraint(want))
			}
		}
	}
}

// constraint gives a constraint in one form.
func constraint(text string) string {
	for _, operator := range []string{"==", "!="} {
		if key, value, ok := strings.Cut(text, operator); ok {
			return strings.TrimSpace(key) + operator + strings.TrimSpace(value)
		}
	}
	return strings.TrimSpace(text)
}

func constraints(service service) []string {
	var all []string
	if placement := service.spec.TaskTemplate.Placement; placement != nil {
		for _, text := range placement.Constraints {
			all = append(all, constraint(text))
		}
	}
	return all
}

// suggestPlacement demands of all services, also of new ones, the constraints that all have
// now.
func suggestPlacement(p *Policy, j *judgement) {
	count := map[string]int{}
	for _, service := range j.services {
		for _, text := range sorted(constraints(service)) {
			count[text]++
		}
	}
	for _, service := range j.services {
		for _, text := range constraints(service) {
			if count[text] == len(j.services) {
				p.Placement = p.Placement.add("*", text)
			} else {
				p.Placement = p.Placement.add(service.name, text)
			}
		}
	}
}
