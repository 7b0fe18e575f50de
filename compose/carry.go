package compose

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
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

func (r *renderer) extraOf(service string) *extra {
	if r.extras[service] == nil {
		r.extras[service] = &extra{modes: map[string]fs.FileMode{}}
	}
	return r.extras[service]
}

// setAside moves settings from a file's service to its extra. A later file extends the
// lists of an earlier one, and replaces its mounts by target.
func (r *renderer) setAside(s *source, name string, service map[string]any) error {
	e := r.extraOf(name)
	for key, values := range map[string]*[]string{"group_add": &e.groups, "dns_opt": &e.dnsOptions} {
		for _, item := range list(service[key]) {
			if text := fmt.Sprint(item); !slices.Contains(*values, text) {
				*values = append(*values, text)
			}
		}
		delete(service, key)
	}
	for _, item := range list(service["volumes"]) {
		volume := mapping(item)
		target := fmt.Sprint(volume["target"])
		if volume["type"] == "image" {
			return fault.New(s.place("services", name, "volumes"), "copy the files into the service's image, or into a volume",
				"service %s: the mount at %s does not work in Swarm: Swarm does not mount images", name, target)
		}
		delete(e.modes, target)
		mode, ok := mapping(volume["tmpfs"])["mode"]
		if !ok {
			continue
		}
		bits, err := fileMode(mode)
		if err != nil {
			return fault.New(s.place("services", name, "volumes"), "write an octal mode such as 01777", "service %s: mode %q is not a file mode", name, mode)
		}
		e.modes[target] = bits
		delete(mapping(volume["tmpfs"]), "mode")
		r.warn(s.mountPlace(name, target), "remove it to avoid the restart",
			"service %s: the mode of the tmpfs at %s is applied; docker stack deploy ignores it, so a service that it created restarts its tasks", name, target)
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
	if e == nil {
		return
	}
	container := spec.TaskTemplate.ContainerSpec
	container.Groups = e.groups
	if len(e.dnsOptions) > 0 {
		if container.DNSConfig == nil {
			container.DNSConfig = &swarm.DNSConfig{}
		}
		container.DNSConfig.Options = e.dnsOptions
	}
	for i := range container.Mounts {
		e.completeMount(&container.Mounts[i])
	}
}

func (e *extra) completeMount(one *mount.Mount) {
	if mode, ok := e.modes[one.Target]; ok && one.Type == mount.TypeTmpfs {
		if one.TmpfsOptions == nil {
			one.TmpfsOptions = &mount.TmpfsOptions{}
		}
		one.TmpfsOptions.Mode = mode
	}
}

// adaptNetworkMode attaches a service with network_mode: host to Swarm's network of
// that name. Swarm does not support the other modes.
func (r *renderer) adaptNetworkMode(s *source, dict map[string]any, name string) error {
	service := mapping(mapping(dict["services"])[name])
	mode, ok := service["network_mode"]
	delete(service, "network_mode")
	place := s.place("services", name, "network_mode")
	switch text := fmt.Sprint(mode); {
	case !ok, isEmpty(mode):
		return nil
	case text == "bridge", text == "default":
		r.warn(place, "remove it", "service %s: network_mode: %s has no effect: the service joins its networks, or the stack's default network", name, text)
		return nil
	case text != "host":
		return fault.New(place, "add a network for it, with internal: true to block outgoing connections",
			"service %s: network_mode: %s does not work in Swarm: the service would join the stack's default network", name, text)
	case len(mapping(service["networks"])) > 0:
		return fault.New(place, "remove networks, or network_mode", "service %s: network_mode: host cannot be combined with networks", name)
	}
	networks := mapping(dict["networks"])
	if networks == nil {
		networks = map[string]any{}
		dict["networks"] = networks
	}
	if _, taken := networks["host"]; taken {
		return fault.New(place, "write networks: [host], with `host: {external: true, name: host}` under the top-level networks",
			"service %s: network_mode: host, but the file defines a network with this name", name)
	}
	networks["host"] = map[string]any{"external": map[string]any{"name": "host"}}
	service["networks"] = map[string]any{"host": nil}
	r.extraOf(name).onHost = place
	r.warn(place, "", "service %s: network_mode: host attaches it to the node's network host; docker stack deploy ignores the key and uses the stack's default network", name)
	return nil
}

// aloneOnHost refuses services with network_mode: host that have, in any file, another
// network or a published port.
func (r *renderer) aloneOnHost(services []composetypes.ServiceConfig) error {
	var faults []error
	for _, service := range services {
		e := r.extras[service.Name]
		if e != nil && e.onHost.Line > 0 && (len(service.Networks) > 1 || len(service.Ports) > 0) {
			faults = append(faults, fault.New(e.onHost, "remove networks and ports: the program listens on the node's ports",
				"service %s: network_mode: host cannot be combined with other networks or published ports", service.Name))
		}
	}
	return errors.Join(faults...)
}

// warnRestart warns of a restart key that has a different meaning in Swarm.
func (r *renderer) warnRestart(service composetypes.ServiceConfig) {
	place := r.placeOf("services", service.Name, "restart")
	switch {
	case service.Restart == "":
	case service.Deploy.RestartPolicy != nil:
		r.warn(place, "remove it", "service %s: restart has no effect: deploy.restart_policy overrides it", service.Name)
	case service.Restart == "no":
		r.warn(place, "write deploy.restart_policy: {condition: none}",
			"service %s: restart: no has no effect: Swarm restarts each task that ends", service.Name)
	case service.Restart == "unless-stopped":
		r.warn(place, "write restart: always", "service %s: restart: unless-stopped means always in Swarm, because tasks are not stopped by hand", service.Name)
	}
}

// adaptLabelFiles adds the lines of a service's label_file list to `labels`, which
// takes precedence.
func (r *renderer) adaptLabelFiles(s *source, name string, service map[string]any) error {
	files := list(service["label_file"])
	delete(service, "label_file")
	if len(files) == 0 {
		return nil
	}
	labels := map[string]any{}
	for _, file := range files {
		lines, err := r.envFile(s.place("services", name, "label_file"), "label_file", map[string]any{"path": file})
		if err != nil {
			return err
		}
		for _, line := range lines {
			key, value, _ := strings.Cut(line, "=")
			labels[key] = value
		}
	}
	maps.Copy(labels, pairsOf(service["labels"]))
	service["labels"] = labels
	return nil
}

// pairsOf returns a mapping that may be written as a list of NAME=value.
func pairsOf(value any) map[string]any {
	all := maps.Clone(mapping(value))
	if all == nil {
		all = map[string]any{}
	}
	for _, item := range list(value) {
		key, text, ok := strings.Cut(fmt.Sprint(item), "=")
		all[key] = text
		if !ok {
			all[key] = nil
		}
	}
	return all
}
