package deploy

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
)

func (p *draft) addNetworks(live *Live, want *compose.Stack) {
	for _, name := range keys(want.Networks) {
		options := want.Networks[name]
		existing, ok := live.Networks[name]
		if !ok || existing.Scope != "swarm" {
			p.Steps = append(p.Steps, Step{
				Action: Create, Kind: Network, Name: name, Sum: sumOf(options), phase: phaseNetworks,
				Changes: []Change{{Path: "Driver", New: options.Driver}},
			})
			continue
		}
		if differing := networkChanges(existing, options); len(differing) > 0 {
			p.Warnings = append(p.Warnings, fmt.Sprintf(
				"network %s exists and differs (%s). The engine cannot change a network: remove the stack's services and the network, and the next sync creates them",
				name, listed(differing)))
		}
	}
}

func (p *draft) addObjects(live *Live, want *compose.Stack) {
	for _, secret := range want.Secrets {
		name := secret.Spec.Name
		if existing, ok := live.Secrets[name]; ok {
			p.warnOfLabels(Secret, name, existing.Spec.Labels, secret.Spec.Labels, secret.Variable)
		} else {
			p.Steps = append(p.Steps, Step{Action: Create, Kind: Secret, Name: name, Sum: sumOf(secret.Spec), phase: phaseObjects})
		}
	}
	for _, config := range want.Configs {
		name := config.Spec.Name
		if existing, ok := live.Configs[name]; ok {
			p.warnOfLabels(Config, name, existing.Spec.Labels, config.Spec.Labels, config.Variable)
		} else {
			p.Steps = append(p.Steps, Step{Action: Create, Kind: Config, Name: name, Sum: sumOf(config.Spec), phase: phaseObjects})
		}
	}
}

// warnOfLabels warns if the labels of an existing secret or config differ from the wanted
// ones: they are not changed. Labels that the stack does not want are not a difference.
func (p *draft) warnOfLabels(kind Kind, name string, live, want map[string]string, variable string) {
	want = unmarked(want)
	if differing := mapChanges("Labels", among(live, want), want); len(differing) > 0 {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s %s exists with different labels (%s) and is not changed: %s",
			kind, name, listed(differing), raiseHint(variable)))
	}
}

// unmarked gives labels without those of stack and owner, which an object that another
// tool created does not have.
func unmarked(labels map[string]string) map[string]string {
	own := maps.Clone(labels)
	maps.DeleteFunc(own, func(name, _ string) bool {
		return name == compose.LabelStack || strings.HasPrefix(name, compose.LabelPrefix)
	})
	return own
}

const vxlanIDs = "com.docker.network.driver.overlay.vxlanid_list"

// ownOptions gives a network's options without those that the engine added. For drivers
// other than overlay these are not known, so only wanted options are compared.
func ownOptions(live network.Summary, want map[string]string) map[string]string {
	if live.Driver != "overlay" {
		return among(live.Options, want)
	}
	own := maps.Clone(live.Options)
	if _, wanted := want[vxlanIDs]; !wanted {
		delete(own, vxlanIDs)
	}
	return own
}

// among gives the entries whose names are in want.
func among(all, want map[string]string) map[string]string {
	some := maps.Clone(all)
	maps.DeleteFunc(some, func(name, _ string) bool {
		_, wanted := want[name]
		return !wanted
	})
	return some
}

// mapChanges compares two maps as the field at path.
func mapChanges(path string, live, want map[string]string) []Change {
	var w walker
	w.walk(path, reflect.ValueOf(live), reflect.ValueOf(want))
	return w.changes
}

// listed gives the changes in one line, by the engine's names of the fields.
func listed(changes []Change) string {
	texts := make([]string, 0, len(changes))
	for _, change := range changes {
		texts = append(texts, fmt.Sprintf("%s: %s -> %s", change.Path, cmp.Or(change.Old, "not set"), cmp.Or(change.New, "not set")))
	}
	return strings.Join(texts, "; ")
}

// unchangeable refuses secrets and configs that exist with a different content, which the
// engine cannot change. The content of secrets is compared by Mismatched, which needs
// the engine.
func unchangeable(live *Live, want *compose.Stack) []error {
	var refused []error
	refuse := func(kind Kind, name, variable, what string) {
		refused = append(refused, fault.New(fault.Place{}, raiseHint(variable), "%s %s exists with different %s, and a %s cannot be changed", kind, name, what, kind))
	}
	for _, config := range want.Configs {
		existing, ok := live.Configs[config.Spec.Name]
		switch {
		case !ok:
		case !bytes.Equal(existing.Spec.Data, config.Spec.Data):
			refuse(Config, config.Spec.Name, config.Variable, "content")
		case !sameDriver(existing.Spec.Templating, config.Spec.Templating):
			refuse(Config, config.Spec.Name, config.Variable, "templating")
		}
	}
	for _, secret := range want.Secrets {
		existing, ok := live.Secrets[secret.Spec.Name]
		switch {
		case !ok:
		case !sameDriver(existing.Spec.Driver, secret.Spec.Driver):
			refuse(Secret, secret.Spec.Name, secret.Variable, "driver")
		case !sameDriver(existing.Spec.Templating, secret.Spec.Templating):
			refuse(Secret, secret.Spec.Name, secret.Variable, "templating")
		}
	}
	return refused
}

// sameDriver compares drivers. A driver without a name counts as none.
func sameDriver(live, want *swarm.Driver) bool {
	given := func(driver *swarm.Driver) swarm.Driver {
		if driver == nil || driver.Name == "" {
			return swarm.Driver{}
		}
		return *driver
	}
	a, b := given(live), given(want)
	return a.Name == b.Name && maps.Equal(a.Options, b.Options)
}

func raiseHint(variable string) string {
	if variable == "" {
		return "give the object a versioned name, such as name: settings.$SV_settings"
	}
	return "raise " + variable
}

// networkChanges gives the differences between an existing network and the wanted one.
// Options and address ranges that the engine adds are not differences.
func networkChanges(live network.Summary, want network.CreateOptions) []Change {
	var changes []Change
	note := func(same bool, path string, old, wanted any) {
		if !same {
			changes = append(changes, Change{Path: path, Old: fmt.Sprint(old), New: fmt.Sprint(wanted)})
		}
	}
	// The engine shows driver, options and ranges only when a node uses the network.
	idle := live.Driver == ""
	note(idle || want.Driver == "" || live.Driver == want.Driver, "Driver", live.Driver, want.Driver)
	note(live.Internal == want.Internal, "Internal", live.Internal, want.Internal)
	note(live.Attachable == want.Attachable, "Attachable", live.Attachable, want.Attachable)
	note(live.Ingress == want.Ingress, "Ingress", live.Ingress, want.Ingress)
	if want.EnableIPv6 != nil {
		note(live.EnableIPv6 == *want.EnableIPv6, "EnableIPv6", live.EnableIPv6, *want.EnableIPv6)
	}
	if !idle {
		changes = append(changes, mapChanges("DriverOpts", ownOptions(live, want.Options), want.Options)...)
	}
	changes = append(changes, mapChanges("Labels", unmarked(live.Labels), unmarked(want.Labels))...)
	if want.IPAM != nil && !idle {
		note(want.IPAM.Driver == "" || want.IPAM.Driver == live.IPAM.Driver, "IPAM.Driver", live.IPAM.Driver, want.IPAM.Driver)
		changes = append(changes, mapChanges("IPAM.Options", among(live.IPAM.Options, want.IPAM.Options), want.IPAM.Options)...)
		note(hasRanges(live.IPAM.Config, want.IPAM.Config), "IPAM.Config", ranges(live.IPAM.Config), ranges(want.IPAM.Config))
	}
	return changes
}

// hasRanges tells whether a network has all wanted address ranges. Swarm does not store
// auxiliary addresses, and it adds gateways.
func hasRanges(live, want []network.IPAMConfig) bool {
	for _, w := range want {
		if !slices.ContainsFunc(live, func(l network.IPAMConfig) bool {
			return (w.Subnet == "" || prefix(l.Subnet) == prefix(w.Subnet)) && prefix(l.IPRange) == prefix(w.IPRange) &&
				(w.Gateway == "" || l.Gateway == w.Gateway)
		}) {
			return false
		}
	}
	return true
}

// prefix gives equal address ranges the same form.
func prefix(text string) string {
	if parsed, err := netip.ParsePrefix(text); err == nil {
		return parsed.Masked().String()
	}
	return text
}

func ranges(configs []network.IPAMConfig) string {
	texts := make([]string, 0, len(configs))
	for _, one := range configs {
		text := one.Subnet
		if one.IPRange != "" {
			text += " range " + one.IPRange
		}
		if one.Gateway != "" {
			text += " gateway " + one.Gateway
		}
		texts = append(texts, text)
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}
