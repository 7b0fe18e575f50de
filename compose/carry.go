package compose

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	composetypes "github.com/docker/cli/cli/compose/types"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/internal/fault"
)

// extra holds settings that Swarm supports and the docker CLI's types do not. They are
// copied from the file directly to the spec.
type extra struct {
	groups     []string
	dnsOptions []string
	modes      map[string]fs.FileMode // of tmpfs mounts, by target
	onHost     fault.Place            // of network_mode: host
}

// extras are the settings of all services, by service.
type extras map[string]*extra

// of returns the settings of a service.
func (e extras) of(service string) *extra {
	if e[service] == nil {
		e[service] = &extra{modes: map[string]fs.FileMode{}}
	}
	return e[service]
}

// setAside moves settings from a file's service to its extra. A later file extends the
// lists of an earlier one, and replaces its mounts by target.
func (a *adapter) setAside(m *serviceModel) error {
	e := a.extras.of(m.name)
	for key, values := range map[string]*[]string{"group_add": &e.groups, "dns_opt": &e.dnsOptions} {
		for _, item := range list(m.model[key]) {
			if text := fmt.Sprint(item); !slices.Contains(*values, text) {
				*values = append(*values, text)
			}
		}
		delete(m.model, key)
	}
	for _, item := range list(m.model["volumes"]) {
		volume := mapping(item)
		target := fmt.Sprint(volume["target"])
		if volume["type"] == "image" {
			return m.fault("volumes", "copy the files into the service's image, or into a volume",
				"the mount at %s does not work in Swarm: Swarm does not mount images", target)
		}
		delete(e.modes, target)
		mode, ok := mapping(volume["tmpfs"])["mode"]
		if !ok {
			continue
		}
		bits, err := fileMode(mode)
		if err != nil {
			return m.fault("volumes", "write an octal mode such as 01777", "mode %q is not a file mode", mode)
		}
		e.modes[target] = bits
		delete(mapping(volume["tmpfs"]), "mode")
		m.warn(m.source.mountPlace(m.name, target), "remove it to avoid the restart",
			"the mode of the tmpfs at %s is applied; docker stack deploy ignores it, so a service that it created restarts its tasks", target)
	}
	return nil
}

// fileMode reads a mode. A text from a variable is octal as well.
func fileMode(value any) (fs.FileMode, error) {
	if number, ok := value.(int); ok {
		return fs.FileMode(number), nil //nolint:gosec // the engine refuses invalid modes
	}
	bits, err := strconv.ParseUint(strings.TrimPrefix(fmt.Sprint(value), "0o"), 8, 32)
	return fs.FileMode(bits), err
}

// complete adds the settings to the spec of a service.
func (e *extra) complete(spec *swarm.ServiceSpec) {
	container := spec.TaskTemplate.ContainerSpec
	container.Groups = e.groups
	if len(e.dnsOptions) > 0 {
		container.DNSConfig = cmp.Or(container.DNSConfig, &swarm.DNSConfig{})
		container.DNSConfig.Options = e.dnsOptions
	}
	for i := range container.Mounts {
		one := &container.Mounts[i]
		if mode, ok := e.modes[one.Target]; ok && one.Type == mount.TypeTmpfs {
			one.TmpfsOptions = cmp.Or(one.TmpfsOptions, &mount.TmpfsOptions{})
			one.TmpfsOptions.Mode = mode
		}
	}
}

// adaptNetworkMode attaches a service with network_mode: host to Swarm's network of
// that name. Swarm does not support the other modes.
func (a *adapter) adaptNetworkMode(m *serviceModel, dict map[string]any) error {
	const key = "network_mode"
	mode, ok := m.model[key]
	delete(m.model, key)
	switch text := fmt.Sprint(mode); {
	case !ok, isEmpty(mode):
		return nil
	case text == "bridge", text == "default":
		m.warn(m.place(key), "remove it", "network_mode: %s has no effect: the service joins its networks, or the stack's default network", text)
		return nil
	case text != "host":
		return m.fault(key, "add a network for it, with internal: true to block outgoing connections",
			"network_mode: %s does not work in Swarm: the service would join the stack's default network", text)
	case len(mapping(m.model["networks"])) > 0:
		return m.fault(key, "remove networks, or network_mode", "network_mode: host cannot be combined with networks")
	}
	networks := ownSection(dict, "networks")
	if _, taken := networks["host"]; taken {
		return m.fault(key, "write networks: [host], with `host: {external: true, name: host}` under the top-level networks",
			"network_mode: host, but the file defines a network with this name")
	}
	networks["host"] = map[string]any{"external": map[string]any{"name": "host"}}
	m.model["networks"] = map[string]any{"host": nil}
	a.extras.of(m.name).onHost = m.place(key)
	m.warn(m.place(key), "", "network_mode: host attaches it to the node's network host; docker stack deploy ignores the key and uses the stack's default network")
	return nil
}

// aloneOnHost refuses services with network_mode: host that have, in any file, another
// network or a published port.
func (e extras) aloneOnHost(services []composetypes.ServiceConfig) error {
	var faults []error
	for _, service := range services {
		e := e.of(service.Name)
		if e.onHost.Line > 0 && (len(service.Networks) > 1 || len(service.Ports) > 0) {
			faults = append(faults, fault.New(e.onHost, "remove networks and ports: the program listens on the node's ports",
				"service %s: network_mode: host cannot be combined with other networks or published ports", service.Name))
		}
	}
	return errors.Join(faults...)
}

// warnRestart warns of a restart key that has a different meaning in Swarm.
func (c *converter) warnRestart(service composetypes.ServiceConfig) {
	place := c.files.placeOf("services", service.Name, "restart")
	switch {
	case service.Restart == "":
	case service.Deploy.RestartPolicy != nil:
		c.warnings.add(place, "remove it", "service %s: restart has no effect: deploy.restart_policy overrides it", service.Name)
	case service.Restart == "no":
		c.warnings.add(place, "write deploy.restart_policy: {condition: none}",
			"service %s: restart: no has no effect: Swarm restarts each task that ends", service.Name)
	case service.Restart == "unless-stopped":
		c.warnings.add(place, "write restart: always", "service %s: restart: unless-stopped means always in Swarm, because tasks are not stopped by hand", service.Name)
	}
}
