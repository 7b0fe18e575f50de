// Package policy is what a node allows any commit to do: it takes the mapping `policy` of
// agent.yml and gives typed rules. It never reads the repository, so no commit can change
// a rule.
package policy

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
)

// Policy is what the node allows. A nil *Policy allows everything.
type Policy struct {
	// Strict starts from the refusal of everything dangerous: what is not named is not
	// allowed.
	Strict bool
	// Signers may sign commits and tags; nil: no signature is demanded.
	Signers *Signers
}

// A section reads one key of the mapping into the policy. Its errors name the file and the
// line of the value.
type section func(p *Policy, file string, value *yaml.Node) error

// sections are the keys of the mapping.
func sections() map[string]section {
	return map[string]section{
		"signers": readSigners,
	}
}

// Read reads the value of the key `policy` in agent.yml: a mapping, or the word strict.
// All faults are given at once, each with its line.
func Read(file string, value *yaml.Node) (*Policy, error) {
	place := fault.Place{File: file, Line: value.Line, Column: value.Column}
	if value.Kind == yaml.ScalarNode && value.Value == "strict" {
		return &Policy{Strict: true}, nil
	}
	if value.Kind != yaml.MappingNode {
		return nil, fault.New(place, "write `policy: strict`, or one rule a line below `policy:`", "policy is not a mapping")
	}
	known, policy := sections(), &Policy{}
	var faults []error
	seen := map[string]bool{}
	for i := 0; i+1 < len(value.Content); i += 2 {
		key := value.Content[i]
		at := fault.Place{File: file, Line: key.Line, Column: key.Column}
		read, ok := known[key.Value]
		switch {
		case !ok:
			names := strings.Join(slices.Sorted(maps.Keys(known)), ", ")
			faults = append(faults, fault.New(at, "the rules are "+names, "unknown rule %q in policy", key.Value))
		case seen[key.Value]:
			faults = append(faults, fault.New(at, "keep one of them", "policy.%s is set twice", key.Value))
		default:
			faults = append(faults, read(policy, file, value.Content[i+1]))
		}
		seen[key.Value] = true
	}
	return policy, errors.Join(faults...)
}
