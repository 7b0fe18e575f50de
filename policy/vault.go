package policy

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
)

// Vault are the secrets in Vault that a commit may refer to. The references are secrets of the
// repository, so no judgement of a stack knows all: the agent asks before it reads each path.
type Vault struct {
	// Paths are patterns of paths of the API, such as kv/data/coin/*. Nil is not set.
	Paths Patterns `json:"paths,omitzero" yaml:"paths,omitempty"`
}

func readVault(p *Policy, file string, value *yaml.Node) error {
	p.Vault = &Vault{}
	return eachKnown(file, "vault", value, map[string]func(*yaml.Node) error{
		"paths": patternsInto(file, "vault.paths", &p.Vault.Paths),
	})
}

// ReadVault refuses a path that a commit must not have the agent read. Without the rule, those
// below a path of agent.yml may be read; with "" none.
func (p *Policy) ReadVault(path, below string) error {
	if p != nil && p.Vault != nil && p.Vault.Paths != nil {
		if p.Vault.Paths.Match(path) {
			return nil
		}
		return &fault.Error{
			Message: "the secret at " + path + " in Vault must not be read: policy.vault.paths does not allow it",
			Hint:    allow("refer to another path", "vault.paths", path), Err: ErrRefused,
		}
	}
	if below != "" && (path == below || strings.HasPrefix(path, below+"/")) {
		return nil
	}
	limit := "vault_prefix of agent.yml is not set, and neither is policy.vault.paths"
	if below != "" {
		limit = "it is not below vault_prefix of agent.yml, " + below
	}
	return &fault.Error{
		Message: fmt.Sprintf("the secret at %s in Vault must not be read: %s", path, limit),
		Hint:    "refer to another path, or have the node's operator add it to agent.yml: policy: {vault: {paths: [" + path + "]}}", Err: ErrRefused,
	}
}

// judgeVault refuses the secrets of the stack that are at paths that the rule does not list.
func judgeVault(j *judgement) {
	rule := j.policy.Vault
	if rule == nil || rule.Paths == nil {
		return // the agent asks about vault_prefix when it reads
	}
	for _, secret := range j.of.Stack.Secrets {
		if path := secret.Vault.Path; path != "" && !rule.Paths.Match(path) {
			j.refuse("vault.paths", "", j.of.Stack.Place("secrets", secret.Key), allow("refer to another path", "vault.paths", path), "the secret %s is at %s in Vault", secret.Key, path)
		}
	}
}

// suggestVault lists the paths of the stack's secrets.
func suggestVault(p *Policy, j *judgement) {
	var paths Patterns
	for _, secret := range j.of.Stack.Secrets {
		if secret.Vault.Path != "" && !slices.Contains(paths, secret.Vault.Path) {
			paths = append(paths, secret.Vault.Path)
		}
	}
	if paths != nil {
		p.Vault = &Vault{Paths: sorted(paths)}
	}
}
