package deploy

import (
	"fmt"
	"slices"

	"github.com/docker/docker/api/types/container"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

// conflicts refuses objects with the stack's names that belong to another stack or owner.
func conflicts(live *Live, want *compose.Stack) []error {
	var refused []error
	check := func(kind Kind, name string, labels map[string]string) {
		if err := conflict(object{kind, name}, labels, want); err != nil {
			refused = append(refused, err)
		}
	}
	for _, name := range keys(want.Networks) {
		if existing, ok := live.Networks[name]; ok && existing.Scope == "swarm" {
			check(Network, name, existing.Labels)
		}
	}
	// Those that do not exist have no labels, and are accepted like those without labels.
	for _, secret := range want.Secrets {
		check(Secret, secret.Spec.Name, live.Secrets[secret.Spec.Name].Spec.Labels)
	}
	for _, config := range want.Configs {
		check(Config, config.Spec.Name, live.Configs[config.Spec.Name].Spec.Labels)
	}
	// All services with the stack's label: the plan would remove another owner's.
	for _, name := range keys(live.Services) {
		check(Service, name, live.Services[name].Spec.Labels)
	}
	return refused
}

// conflict refuses an object that, by its labels, belongs to another stack or owner.
// Secrets and configs without labels are accepted; the agent never changes or removes
// them.
func conflict(of object, labels map[string]string, want *compose.Stack) error {
	kind, name := of.kind, of.name
	owner, stack := labels[compose.LabelOwner], labels[compose.LabelStack]
	switch {
	case owner != "" && owner != want.Owner && !want.TakesOver:
		return fault.New(fault.Place{},
			fmt.Sprintf("give the two nodes different stack names in config.yml, or remove the %s if %s no longer exists", kind, owner),
			"%s %s belongs to %s, not to %s", kind, name, owner, want.Owner)
	case stack != "" && stack != want.Name:
		return fault.New(fault.Place{},
			fmt.Sprintf("rename it in the compose file, declare it external, or remove it from stack %s", stack),
			"%s %s belongs to stack %s, not to %s", kind, name, stack, want.Name)
	case stack == "" && owner == "" && (kind == Network || kind == Service):
		return fault.New(fault.Place{},
			"remove it, rename it in the compose file, or declare a network external",
			"%s %s exists and belongs to no stack", kind, name)
	}
	return nil
}

// AgentsOf names the agents that keep the stack in sync, sorted: the owners of its live
// services. Services that run as jobs are left out: without another change their labels stay,
// because any update runs a job again. Of a stack without services they are the owners of its
// networks, secrets and configs; beside services those count for nothing, since a network keeps
// the labels that it was made with.
func AgentsOf(live *Live, stackName string) []string {
	owners, services := map[string]bool{}, false
	note := func(labels map[string]string) {
		if owner := labels[compose.LabelOwner]; owner != "" && labels[compose.LabelStack] == stackName {
			owners[owner] = true
		}
	}
	for _, service := range live.Services {
		if service.Spec.Labels[compose.LabelStack] == stackName && !isJob(service.Spec.Mode) {
			services = true
			note(service.Spec.Labels)
		}
	}
	if services {
		return keys(owners)
	}
	for _, one := range live.Networks {
		note(one.Labels)
	}
	for _, one := range live.Secrets {
		note(one.Spec.Labels)
	}
	for _, one := range live.Configs {
		note(one.Spec.Labels)
	}
	return keys(owners)
}

// missingExternals refuses a stack whose external objects do not exist, and are not given.
func missingExternals(live *Live, want *compose.Stack) []error {
	var missing []error
	add := func(kind Kind, name, what string) {
		missing = append(missing, fault.New(fault.Place{}, createHint(kind, name), "external %s %s %s", kind, name, what))
	}
	for _, name := range want.ExternalNetworks {
		if !container.NetworkMode(name).IsUserDefined() {
			continue // host, none and the like exist on every node
		}
		existing, ok := live.Networks[name]
		switch {
		case !ok && slices.Contains(want.Given.Networks, name):
		case !ok:
			add(Network, name, "does not exist")
		case existing.Scope != "swarm":
			add(Network, name, "is local to this node; services need a network with scope swarm")
		}
	}
	for _, name := range want.ExternalSecrets {
		if _, ok := live.Secrets[name]; !ok && !slices.Contains(want.Given.Secrets, name) {
			add(Secret, name, "does not exist")
		}
	}
	for _, name := range want.ExternalConfigs {
		if _, ok := live.Configs[name]; !ok && !slices.Contains(want.Given.Configs, name) {
			add(Config, name, "does not exist")
		}
	}
	return missing
}

// missingValues refuses secrets that are neither in the repository nor in Swarm.
func missingValues(live *Live, want *compose.Stack) []error {
	var missing []error
	for _, secret := range want.Secrets {
		if _, ok := live.Secrets[secret.Spec.Name]; secret.Missing != nil && !ok {
			missing = append(missing, fault.New(secret.Missing.Place, secret.Missing.Hint, "%s, and Swarm does not have %s", secret.Missing.Message, secret.Spec.Name))
		}
	}
	return missing
}

// maxConfig is the largest content of a config in bytes that Swarm takes (swarmkit's
// manager/controlapi/config.go).
const maxConfig = 1000<<10 - 1

// wrongSizes refuses secrets and configs that are to be created, and that Swarm would not take.
func wrongSizes(live *Live, want *compose.Stack) []error {
	var wrong []error
	judge := func(kind Kind, key string, size, most int) {
		if size == 0 || size > most {
			wrong = append(wrong, fault.New(want.Place(string(kind)+"s", key), "give it a content, and keep large files in a volume",
				"the %s %q has %d bytes; Swarm takes 1 to %d", kind, key, size, most))
		}
	}
	for _, secret := range want.Secrets {
		if _, ok := live.Secrets[secret.Spec.Name]; !ok && secret.Value.Known() && secret.Spec.Driver == nil {
			judge(Secret, secret.Key, secret.Value.Len(), secrets.MaxSize)
		}
	}
	for _, config := range want.Configs {
		if _, ok := live.Configs[config.Spec.Name]; !ok {
			judge(Config, config.Key, len(config.Spec.Data), maxConfig)
		}
	}
	return wrong
}

func createHint(kind Kind, name string) string {
	if kind == Network {
		return "create it: docker network create --driver overlay " + name
	}
	return fmt.Sprintf("create it: docker %s create %s -", kind, name)
}
