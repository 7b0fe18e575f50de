package desired

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"sync"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// checkSecrets looks for the secrets that config.yml requires of the node, and that its
// checks and its migration check name: as the whole file secrets/<name>[.enc], or as a
// key. What cannot be seen without keys counts as there.
func checkSecrets(node *manifests.Node, set *secrets.Set) error {
	var faults []error
	elsewhere := elsewhere(node)
	for _, name := range node.Config.RequiredSecrets(node.Name) {
		if missing := lacks(node, set, name); missing != nil && !elsewhere(name) {
			missing.Place.Line = 0 // a fingerprint of the message must not depend on it
			faults = append(faults, fault.New(requiredPlace(node, name), missing.Hint, "a required secret is missing: %s", missing))
		}
	}
	entries, keys := node.Checks()
	for i, entry := range entries {
		for _, name := range entry.Secrets() {
			if missing := lacks(node, set, name); missing != nil {
				faults = append(faults, fault.New(node.Config.Place(keys[i]), missing.Hint, "check %s: %s", entry.Name, missing.Message))
			}
		}
	}
	needed := node.Config.Deployment.MigrationCheck.Secrets()
	for _, key := range slices.Sorted(maps.Keys(needed)) {
		if missing := lacks(node, set, needed[key]); missing != nil {
			faults = append(faults, fault.New(node.Config.Place(key), missing.Hint, "migration_check: %s", missing.Message))
		}
	}
	return errors.Join(faults...)
}

// named names what is checked in messages: the node, or the stack of one that has several.
func named(node *manifests.Node) string {
	if node.Config.Layered(node.Name) {
		return "stack " + node.Stack + " of node " + node.Name
	}
	return "node " + node.Name
}

// elsewhere reports whether another stack of the node has a secret: one that the node requires may
// be there. What is wrong with the SOPS files of those stacks, these say.
func elsewhere(node *manifests.Node) func(name string) bool {
	read := sync.OnceValues(func() (*secrets.Set, string) {
		folders, paths := node.SecretsElsewhere()
		if len(folders) == 0 {
			return &secrets.Set{}, ""
		}
		files, _ := readSecretFiles(node, paths)
		options := secretOptions(node)
		options.Folders = folders
		set, _ := secrets.Inspect(files, options)
		return set, folders[len(folders)-1]
	})
	return func(name string) bool {
		set, folder := read()
		_, found := set.Lookup(name, path.Join(folder, "secrets", name))
		return found
	}
}

// lacks says why the node has no value for a secret, as a whole file or as a key;
// nil when it has one.
func lacks(node *manifests.Node, set *secrets.Set, name string) *fault.Error {
	file := path.Join(node.Dir, "secrets", name)
	if _, found := set.Lookup(name, file); found {
		return nil
	}
	return set.Missing(name, file)
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

// CheckServices looks for the services that checks run commands in.
func CheckServices(node *manifests.Node, stack *compose.Stack) error {
	entries, keys := node.Checks()
	var faults []error
	for i, entry := range entries {
		service := entry.Exec.Service
		if _, there := stack.Services[stack.Name+"_"+service]; service != "" && !there {
			faults = append(faults, fault.New(node.Config.Place(keys[i]+".exec.service"), "name a service of the compose files",
				"check %s: %s has no service %q", entry.Name, named(node), service))
		}
	}
	return errors.Join(faults...)
}
