package deploy_test

import (
	"strings"
	"testing"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

// liveNetwork gives the engine's description of a network that was created with options.
func liveNetwork(options network.CreateOptions) network.Summary {
	live := network.Summary{
		Scope: "swarm", Driver: options.Driver, Internal: options.Internal, Attachable: options.Attachable, Ingress: options.Ingress,
		Options: options.Options, Labels: options.Labels,
	}
	if options.EnableIPv6 != nil {
		live.EnableIPv6 = *options.EnableIPv6
	}
	if options.IPAM != nil {
		live.IPAM = *options.IPAM
	}
	return live
}

// TestEveryNetworkOptionIsCompared does for the options of a network what
// TestEveryFieldIsCompared does for services.
func TestEveryNetworkOptionIsCompared(t *testing.T) {
	const (
		never  = "no compose file of a stack can say it"
		filled = "the engine fills it in"
		added  = "drivers may add options: what is not wanted is left"
	)
	coverage(t, func(live, want network.CreateOptions) []string {
		found := paths(deploy.NetworkChanges(liveNetwork(live), want))
		for i := range found {
			found[i] = strings.Replace(found[i], "DriverOpts", "Options", 1)
		}
		return found
	}, map[string]string{
		"Scope":                            "the network is one of Swarm's, or it is another network",
		"EnableIPv4 without":               never,
		"EnableIPv4":                       never,
		"ConfigOnly":                       never,
		"ConfigFrom without":               never,
		"ConfigFrom.Network":               never,
		"EnableIPv6 without":               filled,
		"IPAM without":                     filled,
		"IPAM.Config without":              filled,
		"IPAM.Config element removed":      filled,
		"IPAM.Config reordered":            noOrder,
		"IPAM.Config.AuxAddress without":   "Swarm does not keep it",
		"IPAM.Config.AuxAddress value":     "Swarm does not keep it",
		"IPAM.Config.AuxAddress key added": "Swarm does not keep it", "IPAM.Config.AuxAddress key removed": "Swarm does not keep it",
		"IPAM.Options without": added, "IPAM.Options key removed": added,
		"Options without": added, "Options key removed": added,
	})
}

// TestOptionsOfOverlay covers options that the overlay driver adds, and a removed option.
func TestOptionsOfOverlay(t *testing.T) {
	live := network.Summary{Scope: "swarm", Driver: "overlay", Options: map[string]string{
		"com.docker.network.driver.overlay.vxlanid_list": "4097", "encrypted": "",
	}}
	live.IPAM = network.IPAM{Driver: "default", Config: []network.IPAMConfig{{Subnet: "10.0.1.0/24", Gateway: "10.0.1.1"}}}
	want := network.CreateOptions{Driver: "overlay", Options: map[string]string{"encrypted": ""}, IPAM: &network.IPAM{
		Config: []network.IPAMConfig{{Subnet: "10.0.1.7/24"}},
	}}
	if changes := deploy.NetworkChanges(live, want); len(changes) > 0 {
		t.Errorf("differs at once: %v", changes)
	}
	want.Options = nil
	gone := deploy.Change{Path: "DriverOpts[encrypted]", Old: `""`}
	if changes := deploy.NetworkChanges(live, want); len(changes) != 1 || changes[0] != gone {
		t.Errorf("changes: %v", changes)
	}
	lives, wants := newStack("s"), newStack("s")
	seen := liveOf(lives)
	network := seen.Networks["s_default"]
	network.Attachable, network.Labels = true, map[string]string{compose.LabelStack: "s", "a": "1"}
	seen.Networks["s_default"] = network
	plan, err := deploy.Diff(seen, wants)
	const says = "network s_default exists and differs (Attachable: true -> false; Labels[a]: 1 -> not set). The engine cannot change a network"
	if err != nil || len(plan.Warnings) != 1 || !strings.HasPrefix(plan.Warnings[0], says) {
		t.Errorf("warnings %v, %v", plan.Warnings, err)
	}
}

const (
	byName     = "another name is another object"
	ofOthers   = "a label that others have put there is left"
	byMismatch = "the content is compared with the engine's help (Mismatched)"
)

// objectDifferences gives the refusals and warnings of a plan about one existing secret or
// config, by the field that they name.
func objectDifferences(live *deploy.Live, want *compose.Stack) []string {
	plan, err := deploy.Diff(live, want)
	var found []string
	for _, one := range append(fault.All(err), asErrors(plan.Warnings)...) {
		for word, field := range map[string]string{"different driver": "Driver", "different templating": "Templating", "different content": "Data", "label": "Labels"} {
			if strings.Contains(one.Error(), word) {
				found = append(found, field)
			}
		}
	}
	return found
}

func asErrors(texts []string) []error {
	var list []error
	for _, text := range texts {
		list = append(list, fault.New(fault.Place{}, "", "%s", text))
	}
	return list
}

func TestEveryFieldOfSecretsIsCompared(t *testing.T) {
	coverage(t, func(live, want swarm.SecretSpec) []string {
		live.Name, want.Name = "s_a", "s_a"
		seen := liveOf(newStack("s"))
		seen.Secrets["s_a"] = swarm.Secret{Spec: live}
		stack := newStack("s")
		stack.Secrets = []compose.Secret{{Spec: want}}
		return objectDifferences(seen, stack)
	}, map[string]string{
		"Name": byName, "Labels without": ofOthers, "Labels key removed": ofOthers,
		"Data without": byMismatch, "Data element added": byMismatch, "Data element removed": byMismatch, "Data reordered": byMismatch,
	})
}

func TestEveryFieldOfConfigsIsCompared(t *testing.T) {
	coverage(t, func(live, want swarm.ConfigSpec) []string {
		live.Name, want.Name = "s_a", "s_a"
		seen := liveOf(newStack("s"))
		seen.Configs["s_a"] = swarm.Config{Spec: live}
		stack := newStack("s")
		stack.Configs = []compose.Config{{Spec: want}}
		return objectDifferences(seen, stack)
	}, map[string]string{"Name": byName, "Labels without": ofOthers, "Labels key removed": ofOthers})
}
