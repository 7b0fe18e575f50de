package agent

import (
	"errors"
	"fmt"
	"path"
	"slices"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// checkRequired looks for the secrets that config.yml requires of the node: as
// the whole file secrets/<name>[.enc], or as a key. What cannot be seen without
// keys counts as there.
func checkRequired(node *manifests.Node, set *secrets.Set) error {
	var faults []error
	for _, name := range node.Config.RequiredSecrets(node.Name) {
		file := path.Join(node.Dir, "secrets", name)
		if _, found := set.Lookup(name, file); found {
			continue
		}
		missing := set.Missing(name, file)
		faults = append(faults, fault.New(requiredPlace(node, name), missing.Hint, "a required secret is missing: %s", missing))
	}
	return errors.Join(faults...)
}

// requiredPlace says where config.yml requires a secret.
func requiredPlace(node *manifests.Node, name string) fault.Place {
	if index := slices.Index(node.Config.Secrets.Required, name); index >= 0 {
		return node.Config.Place(fmt.Sprintf("secrets.required[%d]", index))
	}
	for at, entry := range node.Config.Nodes {
		if index := slices.Index(entry.RequiredSecrets, name); entry.Name == node.Name && index >= 0 {
			return node.Config.Place(fmt.Sprintf("nodes[%d].required_secrets[%d]", at, index))
		}
	}
	return node.Config.Place("secrets.required")
}
