package deploy

import (
	"fmt"
	"maps"
	"slices"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
)

// conflicts refuses objects under the stack's names that are somebody else's.
func conflicts(live *Live, want *compose.Stack) []error {
	var refused []error
	check := func(kind Kind, name string, labels map[string]string, mustBeOurs bool) {
		if err := conflict(kind, name, labels, want, mustBeOurs); err != nil {
			refused = append(refused, err)
		}
	}
	for _, name := range keys(want.Networks) {
		if existing, ok := live.Networks[name]; ok && existing.Scope == "swarm" {
			check(Network, name, existing.Labels, true)
		}
	}
	for _, secret := range want.Secrets {
		if existing, ok := live.Secrets[secret.Spec.Name]; ok {
			check(Secret, secret.Spec.Name, existing.Spec.Labels, false)
		}
	}
	for _, config := range want.Configs {
		if existing, ok := live.Configs[config.Spec.Name]; ok {
			check(Config, config.Spec.Name, existing.Spec.Labels, false)
		}
	}
	// All services of the stack's label: another owner's would be pruned.
	for _, name := range keys(live.Services) {
		check(Service, name, live.Services[name].Spec.Labels, true)
	}
	return refused
}

// conflict judges one object by its labels. Secrets and configs that nobody
// labelled are taken as they are; nobody changes or removes them.
func conflict(kind Kind, name string, labels map[string]string, want *compose.Stack, mustBeOurs bool) error {
	owner, stack := labels[compose.LabelOwner], labels[compose.LabelStack]
	switch {
	case owner != "" && owner != want.Owner:
		return fault.New(fault.Place{},
			fmt.Sprintf("give the two nodes different stack names in config.yml, or remove the %s when %s is gone for good", kind, owner),
			"%s %s belongs to %s, not to %s", kind, name, owner, want.Owner)
	case stack != "" && stack != want.Name:
		return fault.New(fault.Place{},
			fmt.Sprintf("rename it in the compose file, declare it external, or remove it from stack %s", stack),
			"%s %s belongs to stack %s, not to %s", kind, name, stack, want.Name)
	case stack == "" && owner == "" && mustBeOurs:
		return fault.New(fault.Place{},
			"remove it, rename it in the compose file, or declare a network external",
			"%s %s exists and belongs to no stack", kind, name)
	}
	return nil
}

// missingExternals refuses a stack whose external objects are not there.
func missingExternals(live *Live, want *compose.Stack) []error {
	var missing []error
	add := func(kind Kind, name, what string) {
		missing = append(missing, fault.New(fault.Place{}, createHint(kind, name), "external %s %s %s", kind, name, what))
	}
	for _, name := range want.ExternalNetworks {
		if !container.NetworkMode(name).IsUserDefined() {
			continue // host, none and the like are every node's own
		}
		existing, ok := live.Networks[name]
		switch {
		case !ok:
			add(Network, name, "does not exist")
		case existing.Scope != "swarm":
			add(Network, name, "is local to this node; services need one of Swarm's scope")
		}
	}
	for _, name := range want.ExternalSecrets {
		if _, ok := live.Secrets[name]; !ok {
			add(Secret, name, "does not exist")
		}
	}
	for _, name := range want.ExternalConfigs {
		if _, ok := live.Configs[name]; !ok {
			add(Config, name, "does not exist")
		}
	}
	return missing
}

func createHint(kind Kind, name string) string {
	if kind == Network {
		return "make it: docker network create --driver overlay " + name
	}
	return fmt.Sprintf("make it: docker %s create %s -", kind, name)
}

// networkDifferences names what of an existing network is not as wanted. The
// engine adds options and address ranges of its own.
func networkDifferences(live network.Summary, want network.CreateOptions) []string {
	var differing []string
	note := func(same bool, field string) {
		if !same {
			differing = append(differing, field)
		}
	}
	// The engine tells the driver and its options only once they are at work.
	idle := live.Driver == ""
	note(idle || want.Driver == "" || live.Driver == want.Driver, "driver")
	note(live.Internal == want.Internal, "internal")
	note(live.Attachable == want.Attachable, "attachable")
	note(want.EnableIPv6 == nil || live.EnableIPv6 == *want.EnableIPv6, "enable_ipv6")
	note(idle || contains(live.Options, want.Options), "driver_opts")
	labels := maps.Clone(want.Labels)
	delete(labels, compose.LabelOwner) // a network that another tool made cannot get it
	note(contains(live.Labels, labels), "labels")
	if want.IPAM != nil {
		note(want.IPAM.Driver == "" || want.IPAM.Driver == live.IPAM.Driver, "ipam driver")
		note(sameRanges(live.IPAM.Config, want.IPAM.Config), "ipam config")
	}
	return differing
}

func contains(all, some map[string]string) bool {
	for name, value := range some {
		if have, ok := all[name]; !ok || have != value {
			return false
		}
	}
	return true
}

func sameRanges(live, want []network.IPAMConfig) bool {
	return !slices.ContainsFunc(want, func(w network.IPAMConfig) bool {
		return !slices.ContainsFunc(live, func(l network.IPAMConfig) bool {
			return l.Subnet == w.Subnet && l.IPRange == w.IPRange && (w.Gateway == "" || l.Gateway == w.Gateway)
		})
	})
}
