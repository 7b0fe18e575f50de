package policy

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/mount"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/hostpath"
)

// driver is a plugin of the engine, or a kind of the engine's own driver, that the stack uses.
type driver struct {
	rule, name string
	service    string
	place      fault.Place
}

// drivers lists what the stack uses apart from plain local volumes, overlay networks and
// Swarm's own secrets. A local volume that mounts something is named by its type, such as
// "local type=nfs": it may be any file system of the node. An option that acts on the node is
// an entry of its own, such as "macvlan parent=eth0": who allows a driver does not allow each
// interface and each server.
func (j *judgement) drivers() []driver {
	all := slices.Concat(j.volumeDrivers(), j.logDrivers(), j.networkDrivers())
	for _, secret := range j.of.Stack.Secrets {
		if kind := secret.Spec.Driver; kind != nil {
			all = append(all, driver{"secret_drivers", kind.Name, j.userOf("secrets", secret.Spec.Name), j.of.Stack.Place("secrets", secret.Key, "driver")})
		}
	}
	return all
}

func (j *judgement) volumeDrivers() []driver {
	var all []driver
	for _, service := range j.services {
		for _, one := range service.container.Mounts {
			name := volumeDriver(one)
			if name == "" {
				continue
			}
			at := j.item([]string{one.Target}, service.name, "volumes")
			if key := j.of.Stack.Key("volumes", one.Source); key != "" {
				at = j.of.Stack.Place("volumes", key, "driver")
			}
			all = append(all, driver{"volume_drivers", name, service.name, at})
		}
	}
	return all
}

func (j *judgement) logDrivers() []driver {
	var all []driver
	for _, service := range j.services {
		log := compose.RemoteLog(service.spec)
		if log == "" {
			continue
		}
		all = append(all, driver{"log_drivers", log, service.name, j.place(service.name, "logging")})
		for _, option := range compose.LogOptions(service.spec) {
			name, _, _ := strings.Cut(option, "=")
			all = append(all, driver{"log_drivers", log + " " + option, service.name, j.place(service.name, "logging", "options", name)})
		}
	}
	return all
}

func (j *judgement) networkDrivers() []driver {
	var all []driver
	for _, name := range slices.Sorted(maps.Keys(j.of.Stack.Networks)) {
		kind, keys := cmp.Or(j.of.Stack.Networks[name].Driver, plainNetwork), []string{"networks", j.of.Stack.Key("networks", name)}
		if kind != plainNetwork {
			all = append(all, driver{"network_drivers", kind, "", j.of.Stack.Place(append(keys, "driver")...)})
		}
		for _, option := range compose.NetworkOptions(kind, j.of.Stack.Networks[name].Options) {
			key, _, _ := strings.Cut(option, "=")
			all = append(all, driver{"network_drivers", kind + " " + option, "", j.of.Stack.Place(append(keys, "driver_opts", key)...)})
		}
	}
	for _, service := range j.services {
		for _, part := range service.spec.TaskTemplate.Networks {
			kind := cmp.Or(j.of.Stack.Networks[part.Target].Driver, plainNetwork)
			for _, option := range compose.NetworkOptions(kind, part.DriverOpts) {
				at := j.place(service.name, "networks", j.of.Stack.Key("networks", part.Target), "driver_opts")
				all = append(all, driver{"network_drivers", kind + " " + option, service.name, at})
			}
		}
	}
	return all
}

// plainNetwork is the driver of a network that says nothing of it.
const plainNetwork = "overlay"

// volumeDriver names the driver of a mount; "" for a plain local volume, for one that
// bind_mounts judges, and for other mounts.
func volumeDriver(one mount.Mount) string {
	if one.Type != mount.TypeVolume || one.VolumeOptions == nil || one.VolumeOptions.DriverConfig == nil {
		return ""
	}
	options := localDriver(one)
	if name := one.VolumeOptions.DriverConfig.Name; name != "" && name != "local" {
		return name
	}
	if _, bind := boundDevice(one); bind {
		return ""
	}
	switch kind, flags := options["type"], options["o"]; {
	case hostpath.Templated(flags):
		return "local o=" + flags
	case kind == "tmpfs" || kind == "" && flags == "" && options["device"] == "":
		return ""
	default:
		return "local type=" + kind
	}
}

func judgeDrivers(j *judgement) {
	rules := map[string]Patterns{
		"volume_drivers": j.policy.VolumeDrivers, "network_drivers": j.policy.NetworkDrivers, "secret_drivers": j.policy.SecretDrivers,
		"log_drivers": j.policy.LogDrivers,
	}
	for _, one := range j.drivers() {
		if rule := rules[one.rule]; j.policy.dangerous(rule != nil) && !rule.Match(one.name) {
			what := "uses the driver %q"
			if one.service == "" {
				what = "a network uses the driver %q"
			}
			j.refuse(one.rule, one.service, one.place, allow("remove it", one.rule, `"`+one.name+`"`), what, one.name)
		}
	}
}

func suggestDrivers(p *Policy, j *judgement) {
	for _, one := range j.drivers() {
		into := map[string]*Patterns{
			"volume_drivers": &p.VolumeDrivers, "network_drivers": &p.NetworkDrivers, "secret_drivers": &p.SecretDrivers,
			"log_drivers": &p.LogDrivers,
		}[one.rule]
		*into = sorted(append(*into, one.name))
	}
}
