package policy

import (
	"maps"
	"slices"

	"github.com/docker/docker/api/types/mount"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
)

// driver is a plugin of the engine, or a kind of the engine's own driver, that the stack uses.
type driver struct {
	rule, name string
	service    string
	place      fault.Place
}

// drivers lists what the stack uses apart from plain local volumes, overlay networks and
// Swarm's own secrets. A local volume that mounts something is named by its type, such as
// "local type=nfs": it may be any file system of the node.
func (j *judgement) drivers() []driver {
	var all []driver
	for _, service := range j.services {
		for _, one := range service.container.Mounts {
			name := volumeDriver(one)
			if name == "" {
				continue
			}
			at := j.item([]string{one.Target}, service.name, "volumes")
			if key := j.Stack.Key("volumes", one.Source); key != "" {
				at = j.Stack.Place("volumes", key, "driver")
			}
			all = append(all, driver{"volume_drivers", name, service.name, at})
		}
	}
	for _, service := range j.services {
		if log := compose.RemoteLog(service.spec); log != "" {
			all = append(all, driver{"log_drivers", log, service.name, j.Stack.Place("services", service.name, "logging")})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(j.Stack.Networks)) {
		if kind := j.Stack.Networks[name].Driver; kind != "" && kind != "overlay" {
			all = append(all, driver{"network_drivers", kind, "", j.Stack.Place("networks", j.Stack.Key("networks", name), "driver")})
		}
	}
	for _, secret := range j.Stack.Secrets {
		if kind := secret.Spec.Driver; kind != nil {
			all = append(all, driver{"secret_drivers", kind.Name, j.userOf("secrets", secret.Spec.Name), j.Stack.Place("secrets", secret.Key, "driver")})
		}
	}
	return all
}

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
	case templated(flags):
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
