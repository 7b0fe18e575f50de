// Package policy is what a node allows any commit to do: it takes the mapping `policy` of
// agent.yml, and gives typed rules and the refusals of a rendered stack. It never reads the
// repository, so no commit can change a rule.
package policy

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
)

// Policy is what the node allows. A nil *Policy allows everything. A rule that is nil is not
// set: it restricts nothing, unless the policy is strict and what the rule is about is
// dangerous.
type Policy struct {
	// Strict starts from the refusal of everything dangerous: what is not named is not
	// allowed. The rules that this concerns are those from BindMounts to Checks.
	Strict bool `json:"strict,omitempty" yaml:"strict,omitempty"`

	Stacks      Patterns     `json:"stacks,omitzero" yaml:"stacks,omitempty"`
	Environment *Environment `json:"environment,omitempty" yaml:"environment,omitempty,flow"`

	BindMounts     BindMounts `json:"bind_mounts,omitzero" yaml:"bind_mounts,omitempty"`
	EngineSocket   Patterns   `json:"engine_socket,omitzero" yaml:"engine_socket,omitempty"`
	Capabilities   PerService `json:"capabilities,omitzero" yaml:"capabilities,omitempty"`
	Privileges     PerService `json:"privileges,omitzero" yaml:"privileges,omitempty"`
	HostNetwork    Patterns   `json:"host_network,omitzero" yaml:"host_network,omitempty"`
	External       External   `json:"external,omitzero" yaml:"external,omitempty"`
	VolumeDrivers  Patterns   `json:"volume_drivers,omitzero" yaml:"volume_drivers,omitempty"`
	NetworkDrivers Patterns   `json:"network_drivers,omitzero" yaml:"network_drivers,omitempty"`
	SecretDrivers  Patterns   `json:"secret_drivers,omitzero" yaml:"secret_drivers,omitempty"`
	LogDrivers     Patterns   `json:"log_drivers,omitzero" yaml:"log_drivers,omitempty"`
	PublishedPorts Ports      `json:"published_ports,omitzero" yaml:"published_ports,omitempty,flow"`
	Checks         *Checks    `json:"checks,omitempty" yaml:"checks,omitempty"`

	Registries Patterns   `json:"registries,omitzero" yaml:"registries,omitempty"`
	Images     *Images    `json:"images,omitempty" yaml:"images,omitempty"`
	Placement  PerService `json:"placement,omitzero" yaml:"placement,omitempty"`
	Limits     *Limits    `json:"limits,omitempty" yaml:"limits,omitempty"`

	// Vault are the paths that a commit may have the agent read; nil: those below vault_prefix.
	Vault *Vault `json:"vault,omitempty" yaml:"vault,omitempty"`
	// Notifications bind the webhook that a commit chooses; nil: it may be on any other machine.
	Notifications *Notifications `json:"notifications,omitempty" yaml:"notifications,omitempty"`
	// Signers may sign commits and tags; nil: no signature is demanded.
	Signers *Signers `json:"signers,omitempty" yaml:"signers,omitempty"`
	// Floor are gates that hold whatever config.yml says; nil for none.
	Floor *Floor `json:"floor,omitempty" yaml:"floor,omitempty"`
}

// A section reads one key of the mapping into the policy. Its errors name the file and the
// line of the value.
type section func(p *Policy, file string, value *yaml.Node) error

// sections are the keys of the mapping.
func sections() map[string]section {
	return map[string]section{
		"strict":          readStrict,
		"stacks":          patterns("stacks", func(p *Policy) *Patterns { return &p.Stacks }),
		"environment":     readEnvironment,
		"bind_mounts":     readBindMounts,
		"engine_socket":   patterns("engine_socket", func(p *Policy) *Patterns { return &p.EngineSocket }),
		"capabilities":    perService("capabilities", func(p *Policy) *PerService { return &p.Capabilities }),
		"privileges":      perService("privileges", func(p *Policy) *PerService { return &p.Privileges }),
		"host_network":    patterns("host_network", func(p *Policy) *Patterns { return &p.HostNetwork }),
		"external":        readExternal,
		"volume_drivers":  patterns("volume_drivers", func(p *Policy) *Patterns { return &p.VolumeDrivers }),
		"network_drivers": patterns("network_drivers", func(p *Policy) *Patterns { return &p.NetworkDrivers }),
		"secret_drivers":  patterns("secret_drivers", func(p *Policy) *Patterns { return &p.SecretDrivers }),
		"log_drivers":     patterns("log_drivers", func(p *Policy) *Patterns { return &p.LogDrivers }),
		"published_ports": readPorts,
		"checks":          readChecks,
		"registries":      patterns("registries", func(p *Policy) *Patterns { return &p.Registries }),
		"images":          readImages,
		"placement":       perService("placement", func(p *Policy) *PerService { return &p.Placement }),
		"limits":          readLimits,
		"vault":           readVault,
		"notifications":   readNotifications,
		"signers":         readSigners,
		"floor":           readFloor,
	}
}

// Read reads the value of the key `policy` in agent.yml: a mapping, or the word strict.
// All faults are given at once, each with its line.
func Read(file string, value *yaml.Node) (*Policy, error) {
	if value.Kind == yaml.ScalarNode && value.Value == "strict" {
		return &Policy{Strict: true}, nil
	}
	if value.Kind != yaml.MappingNode {
		return nil, fault.New(placeIn(file, value), "write `policy: strict`, or one rule a line below `policy:`", "policy is not a mapping")
	}
	policy, known := &Policy{}, map[string]func(*yaml.Node) error{}
	for name, read := range sections() {
		known[name] = func(value *yaml.Node) error { return read(policy, file, value) }
	}
	return policy, eachKnown(file, "", value, known)
}

// ReadFile reads the policy of a file of its own, or of a whole agent.yml: only its key
// `policy` counts.
func ReadFile(file string, data []byte) (*Policy, error) {
	var document yaml.Node
	const hint = "name an agent.yml, or what `agent policy suggest` prints"
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, fault.New(fault.Place{File: file}, hint, "not valid YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(document.Content) > 0 && document.Content[0].Kind == yaml.MappingNode {
		root := document.Content[0].Content
		for i := 0; i+1 < len(root); i += 2 {
			if root[i].Value == "policy" {
				return Read(file, root[i+1])
			}
		}
	}
	return nil, fault.New(fault.Place{File: file}, hint, "the key policy is missing")
}

func readStrict(p *Policy, file string, value *yaml.Node) error {
	return readBool(file, "strict", value, &p.Strict)
}
