package policy

import (
	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

// Environment is what config.yml must say of its environment; "" for anything.
type Environment struct {
	Name string                    `json:"name,omitempty" yaml:"name,omitempty"`
	Type manifests.EnvironmentType `json:"type,omitempty" yaml:"type,omitempty"`
}

func readEnvironment(p *Policy, file string, value *yaml.Node) error {
	p.Environment = &Environment{}
	return eachKnown(file, "environment", value, map[string]func(*yaml.Node) error{
		"name": func(value *yaml.Node) error { p.Environment.Name = value.Value; return nil },
		"type": func(value *yaml.Node) error {
			p.Environment.Type = manifests.EnvironmentType(value.Value)
			switch p.Environment.Type {
			case manifests.Production, manifests.NonProduction:
				return nil
			}
			return fault.New(placeIn(file, value), "write production or non-production", "%q is not a type of environment", value.Value)
		},
	})
}

// judgeStack refuses a stack's name that the rule does not list.
func judgeStack(j *judgement) {
	if j.policy.Stacks == nil || j.policy.Stacks.Match(j.of.Stack.Name) {
		return
	}
	var at fault.Place
	if j.of.Node != nil {
		at = j.of.Node.StackPlace()
	}
	j.refuse("stacks", "", at, allow("change it back", "stacks", j.of.Stack.Name), "the stack's name is %s", j.of.Stack.Name)
}

// judgeEnvironment refuses a config.yml of another environment or type.
func judgeEnvironment(j *judgement) {
	want := j.policy.Environment
	if want == nil || j.of.Node == nil {
		return
	}
	config := j.of.Node.Config
	if got := config.Environment.Name; want.Name != "" && got != want.Name {
		j.refuse("environment", "", config.Place("environment.name"), "set it to "+want.Name, "the environment's name is %s", got)
	}
	if got := config.Environment.Type; want.Type != "" && got != want.Type {
		j.refuse("environment", "", config.Place("environment.type"), "set it to "+string(want.Type), "the environment's type is %s", got)
	}
}
