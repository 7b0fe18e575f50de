package policy

import (
	"slices"
	"strings"
)

// judgeCapabilities refuses added capabilities that the service does not have by the rule.
func judgeCapabilities(j *judgement) {
	if !j.policy.dangerous(j.policy.Capabilities != nil) {
		return
	}
	for _, service := range j.services {
		allowed := j.policy.Capabilities.Of(service.name)
		for i, one := range allowed {
			allowed[i] = capability(one)
		}
		for _, added := range service.container.CapabilityAdd {
			name := capability(added)
			if slices.Contains(allowed, name) || slices.Contains(allowed, everything) || allowed.Match(name) && name != everything {
				continue
			}
			at := j.item([]string{added, name, "CAP_" + name, strings.ToLower(name), strings.ToLower("cap_" + name)}, service.name, "cap_add")
			j.refuse("capabilities", service.name, at, allow("remove it", "capabilities."+service.name, name), "adds the capability %s", name)
		}
	}
}

// everything is the capability that stands for all: no pattern allows it.
const everything = "ALL"

// capability gives a capability's name without its prefix.
func capability(name string) string { return strings.TrimPrefix(strings.ToUpper(name), "CAP_") }

func suggestCapabilities(p *Policy, j *judgement) {
	for _, service := range j.services {
		for _, added := range service.container.CapabilityAdd {
			p.Capabilities = p.Capabilities.add(service.name, capability(added))
		}
	}
}
