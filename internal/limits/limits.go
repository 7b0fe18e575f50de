// Package limits is how much of anything the agent reads: it takes the mapping `limits` of
// agent.yml and gives numbers. The defaults are generous for real repositories.
package limits

import (
	"errors"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
)

// Limits bound what is read of git, GitLab and other servers.
type Limits struct{}

// Default gives the limits of an agent.yml that names none.
func Default() Limits { return Limits{} }

// Read reads the value of the key `limits` in agent.yml over the given limits.
func Read(file string, value *yaml.Node, limits *Limits) error {
	if value.Kind != yaml.MappingNode {
		return fault.New(fault.Place{File: file, Line: value.Line}, "write one limit a line below `limits:`", "limits is not a mapping")
	}
	var faults []error
	for i := 0; i+1 < len(value.Content); i += 2 {
		key := value.Content[i]
		faults = append(faults, fault.New(fault.Place{File: file, Line: key.Line, Column: key.Column}, "remove it", "unknown limit %q", key.Value))
	}
	return errors.Join(faults...)
}
