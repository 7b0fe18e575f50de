package policy

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Suggest gives the least policy that allows a subject: what it uses, and nothing else.
func Suggest(of Subject) *Policy {
	p, j := &Policy{Strict: true}, &judgement{policy: &Policy{}, of: of, services: servicesOf(of.Stack)}
	p.Stacks = Patterns{of.Stack.Name}
	if of.Node != nil {
		environment := of.Node.Config.Environment
		p.Environment = &Environment{Name: environment.Name, Type: environment.Type}
	}
	for _, rule := range []func(*Policy, *judgement){
		suggestMounts, suggestCapabilities, suggestPrivileges, suggestHostNetwork, suggestExternal, suggestDrivers, suggestPorts,
		suggestChecks, suggestImages, suggestPlacement, suggestLimits, suggestVault,
	} {
		rule(p, j)
	}
	return p
}

// YAML gives the policy as agent.yml has it, with the key `policy`.
func (p *Policy) YAML() (string, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(map[string]*Policy{"policy": p}); err != nil {
		return "", fmt.Errorf("write the policy: %w", err)
	}
	return out.String(), nil
}

// setBy says in which file the variables of a service's value are set; "" if it has none.
func (j *judgement) setBy(service string, keys ...string) string {
	names, places := j.of.Stack.Sources(append([]string{"services", service}, keys...)...)
	var parts []string
	for i, name := range names {
		parts = append(parts, name+" is set in "+places[i].String())
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}
