package compose

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/docker/go-connections/nat"

	"coin.internal/coin-agent/internal/fault"
)

// serviceModel is a service in compose-go's model of one file.
type serviceModel struct {
	source   *source
	name     string
	model    map[string]any
	warnings *warnings
}

// place returns the place of a key of the service.
func (m *serviceModel) place(key string) fault.Place {
	return m.source.place("services", m.name, key)
}

// fault returns an error about a key of the service.
func (m *serviceModel) fault(key, hint, format string, args ...any) error {
	return fault.New(m.place(key), hint, "service %s: %s", m.name, fmt.Sprintf(format, args...))
}

func (m *serviceModel) warn(place fault.Place, hint, format string, args ...any) {
	m.warnings.add(place, hint, "service %s: %s", m.name, fmt.Sprintf(format, args...))
}

// adaptNumbers converts CPU counts to text, which the docker CLI requires.
func (m *serviceModel) adaptNumbers() {
	resources := mapping(mapping(m.model["deploy"])["resources"])
	for _, kind := range []string{"limits", "reservations"} {
		part := mapping(resources[kind])
		for _, key := range []string{"cpus", "memory"} {
			if value, ok := part[key]; ok {
				part[key] = fmt.Sprint(value)
			}
		}
	}
}

// adaptPorts converts published ports to numbers, and removes host addresses, which
// Swarm ignores.
func (m *serviceModel) adaptPorts() error {
	var faults []error
	var exposed []string
	var ports []any
	for _, item := range list(m.model["ports"]) {
		port := mapping(item)
		if ip := fmt.Sprint(port["host_ip"]); port["host_ip"] != nil && ip != "0.0.0.0" && ip != "" {
			exposed = append(exposed, net.JoinHostPort(ip, fmt.Sprint(port["published"])))
		}
		delete(port, "host_ip")
		published, ok := port["published"].(string)
		if !ok {
			ports = append(ports, port)
			continue
		}
		first, last, err := nat.ParsePortRange(published)
		if err != nil {
			faults = append(faults, m.fault("ports", "publish one port, such as 8080:80", "%q is not a port that Swarm can publish", published))
			continue
		}
		for number := first; number <= last; number++ { // 7000-7001:80 publishes port 80 twice
			one := maps.Clone(port)
			one["published"] = int(number) //nolint:gosec // at most 65535
			ports = append(ports, one)
		}
	}
	if ports != nil {
		m.model["ports"] = ports
	}
	if len(exposed) > 0 {
		m.warn(m.place("ports"), "remove the address, or close the port on the other addresses with a firewall",
			"Swarm publishes a port on all addresses of the node, not only on %s", strings.Join(exposed, ", "))
	}
	return errors.Join(faults...)
}

// warnHostPaths warns of paths that Compose would create. It does not warn of the
// short syntax, which asks for the creation only implicitly.
func (m *serviceModel) warnHostPaths() {
	for _, volume := range itemsOf(m.source.service(m.name), "volumes") {
		_, bind := lookup(volume, "bind")
		if key, value := lookup(bind, "create_host_path"); key != nil && value.Value == "true" {
			m.warn(fault.Place{File: m.source.path, Line: key.Line}, "create the path on the node, and remove create_host_path",
				"volumes.bind.create_host_path has no effect: tasks are rejected until the path exists")
		}
	}
}

// warnAnonymous warns of options that apply only to named volumes.
func (m *serviceModel) warnAnonymous(volume map[string]any) {
	if source, _ := volume["source"].(string); source != "" || volume["type"] != "volume" {
		return
	}
	options := mapping(volume["volume"])
	for _, key := range slices.Sorted(maps.Keys(options)) {
		if options[key] != false && !isEmpty(options[key]) {
			m.warn(m.source.mountPlace(m.name, fmt.Sprint(volume["target"])), "add a source to the mount, and define it under the top-level volumes",
				"volumes.volume.%s has no effect: the volume at %v has no name, so each task gets an empty one", key, volume["target"])
		}
	}
}

// adaptModes reads the modes of secret and config references as octal, also if they
// are texts from variables.
func (m *serviceModel) adaptModes() error {
	var faults []error
	for _, key := range []string{"secrets", "configs"} {
		for _, item := range list(m.model[key]) {
			text, ok := mapping(item)["mode"].(string)
			if !ok {
				continue
			}
			mode, err := fileMode(text)
			if err != nil {
				faults = append(faults, m.fault(key, "write an octal mode such as 0440", "mode %q is not a file mode", text))
				continue
			}
			mapping(item)["mode"] = int(mode)
		}
	}
	return errors.Join(faults...)
}
