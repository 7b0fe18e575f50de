package compose

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"

	"coin.internal/coin-agent/internal/fault"
)

// adapt changes compose-go's model of a file, in place, to the form that the docker
// CLI's loader accepts.
func (r *renderer) adapt(s *source, dict map[string]any) error {
	r.warnName(s)
	delete(dict, "name")
	services := mapping(dict["services"])
	j := &judge{renderer: r, source: s}
	j.mapping("", nil, dict)
	faults := j.faults
	for _, name := range slices.Sorted(maps.Keys(services)) {
		faults = append(faults, r.adaptNetworkMode(s, dict, name), r.adaptService(s, name, mapping(services[name])))
	}
	for _, section := range []string{"networks", "volumes", "secrets", "configs"} {
		for _, object := range mapping(dict[section]) {
			adaptTexts(mapping(object), "labels", "driver_opts")
		}
	}
	volumes := mapping(dict["volumes"])
	for _, key := range slices.Sorted(maps.Keys(volumes)) {
		faults = append(faults, r.adaptDevice(s, key, mapping(volumes[key])))
	}
	for _, section := range []string{"secrets", "configs"} {
		objects := mapping(dict[section])
		for _, key := range slices.Sorted(maps.Keys(objects)) {
			faults = append(faults, r.adaptFile(s, section, key, mapping(objects[key])))
		}
	}
	return errors.Join(faults...)
}

// warnName warns of a top-level name that differs from the stack's.
func (r *renderer) warnName(s *source) {
	name, err := r.variables.substitute(scalarAt(s.root, "name"), r.variables.lookup)
	if err == nil && name != "" && name != r.node.Stack {
		r.warn(s.place("name"), "remove it, or change nodes[].stack in config.yml", "name has no effect: config.yml names the stack %s", r.node.Stack)
	}
}

func (r *renderer) adaptService(s *source, name string, service map[string]any) error {
	adaptNumbers(service)
	adaptTexts(service, "environment", "labels", "sysctls")
	adaptTexts(mapping(service["deploy"]), "labels")
	adaptTexts(mapping(service["logging"]), "options")
	return errors.Join(
		sameTargets(s, name, service),
		r.adaptPorts(s, name, service),
		r.setAside(s, name, service),
		r.adaptVolumes(s, name, service),
		adaptModes(s, name, service),
		r.adaptLabelFiles(s, name, service),
		r.adaptEnvironment(s, name, service),
	)
}

// sameTargets refuses two mounts, secrets or configs with the same target. Compose-go
// silently omits the first one. The engine would refuse both.
func sameTargets(s *source, name string, service map[string]any) error {
	written := mapping(mapping(s.plain["services"])[name])
	var faults []error
	for _, key := range []string{"volumes", "secrets", "configs"} {
		if len(list(service[key])) < len(list(written[key])) {
			faults = append(faults, fault.New(s.place("services", name, key), "change one of the targets",
				"service %s: two of its %s have the same target", name, key))
		}
	}
	return errors.Join(faults...)
}

// adaptNumbers converts CPU counts to text, which the docker CLI requires.
func adaptNumbers(service map[string]any) {
	resources := mapping(mapping(service["deploy"])["resources"])
	for _, kind := range []string{"limits", "reservations"} {
		part := mapping(resources[kind])
		for _, key := range []string{"cpus", "memory"} {
			if value, ok := part[key]; ok {
				part[key] = fmt.Sprint(value)
			}
		}
	}
}

// adaptTexts converts the booleans in these mappings to text, which the docker CLI
// requires.
func adaptTexts(object map[string]any, keys ...string) {
	for _, key := range keys {
		values := mapping(object[key])
		for name, value := range values {
			if value, ok := value.(bool); ok {
				values[name] = strconv.FormatBool(value)
			}
		}
	}
}

// adaptPorts converts published ports to numbers, and removes host addresses, which
// Swarm ignores.
func (r *renderer) adaptPorts(s *source, name string, service map[string]any) error {
	place := s.place("services", name, "ports")
	var faults []error
	var exposed []string
	var ports []any
	for _, item := range list(service["ports"]) {
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
		first, last, err := portRange(published)
		if err != nil {
			faults = append(faults, fault.New(place, "publish one port, such as 8080:80", "service %s: %q is not a port that Swarm can publish", name, published))
			continue
		}
		for number := first; number <= last; number++ { // 7000-7001:80 publishes port 80 twice
			one := maps.Clone(port)
			one["published"] = number
			ports = append(ports, one)
		}
	}
	if ports != nil {
		service["ports"] = ports
	}
	if len(exposed) > 0 {
		r.warn(place, "remove the address, or close the port on the other addresses with a firewall",
			"service %s: Swarm publishes a port on all addresses of the node, not only on %s", name, strings.Join(exposed, ", "))
	}
	return errors.Join(faults...)
}

// portRange reads a published port, or a range such as 7000-7001.
func portRange(text string) (first, last int, err error) {
	from, to, several := strings.Cut(text, "-")
	if !several {
		to = from
	}
	low, err := strconv.ParseUint(from, 10, 16)
	if err != nil {
		return 0, 0, err
	}
	high, err := strconv.ParseUint(to, 10, 16)
	if err == nil && high < low {
		err = strconv.ErrRange
	}
	return int(low), int(high), err
}

// adaptVolumes removes the options of mounts that the docker CLI does not support, and
// resolves relative bind sources.
func (r *renderer) adaptVolumes(s *source, name string, service map[string]any) error {
	r.warnHostPaths(s, name)
	place := s.place("services", name, "volumes")
	var faults []error
	for _, item := range list(service["volumes"]) {
		volume := mapping(item)
		adaptBind(volume)
		r.warnAnonymous(s, name, volume)
		if len(mapping(volume["volume"])) == 0 {
			delete(volume, "volume")
		}
		if size, ok := mapping(volume["tmpfs"])["size"].(string); ok {
			if number, err := strconv.Atoi(size); err == nil {
				mapping(volume["tmpfs"])["size"] = number
			}
		}
		if volume["type"] == "bind" {
			source, ok := volume["source"].(string)
			if !ok || source == "" {
				faults = append(faults, fault.New(place, "add a source", "service %s: the bind mount at %v has no source", name, volume["target"]))
				continue
			}
			source, err := r.bindSource(place, "service "+name, source)
			faults = append(faults, err)
			volume["source"] = source
		}
	}
	return errors.Join(faults...)
}

// adaptBind removes the bind options that compose-go adds to a mount in short syntax.
func adaptBind(volume map[string]any) {
	bind := mapping(volume["bind"])
	_, added := bind["create_host_path"]
	delete(bind, "create_host_path")
	if len(bind) == 0 && (added || volume["type"] == "volume") { // data:/data:z
		delete(volume, "bind")
	}
}

// warnHostPaths warns of paths that Compose would create. It does not warn of the
// short syntax, which asks for the creation only implicitly.
func (r *renderer) warnHostPaths(s *source, name string) {
	_, services := lookup(s.root, "services")
	_, service := lookup(services, name)
	for _, volume := range itemsOf(service, "volumes") {
		_, bind := lookup(volume, "bind")
		if key, value := lookup(bind, "create_host_path"); key != nil && value.Value == "true" {
			r.warn(fault.Place{File: s.path, Line: key.Line}, "create the path on the node, and remove create_host_path",
				"service %s: volumes.bind.create_host_path has no effect: tasks are rejected until the path exists", name)
		}
	}
}

// warnAnonymous warns of options that apply only to named volumes.
func (r *renderer) warnAnonymous(s *source, name string, volume map[string]any) {
	if source, _ := volume["source"].(string); source != "" || volume["type"] != "volume" {
		return
	}
	options := mapping(volume["volume"])
	for _, key := range slices.Sorted(maps.Keys(options)) {
		if options[key] != false && !isEmpty(options[key]) {
			r.warn(s.mountPlace(name, fmt.Sprint(volume["target"])), "add a source to the mount, and define it under the top-level volumes",
				"service %s: volumes.volume.%s has no effect: the volume at %v has no name, so each task gets an empty one", name, key, volume["target"])
		}
	}
}

// adaptDevice resolves the path that a local volume binds, like that of a bind mount.
func (r *renderer) adaptDevice(s *source, key string, volume map[string]any) error {
	options := bindOptions(volume)
	device, ok := options["device"].(string)
	if !ok || device == "" {
		return nil
	}
	device, err := r.bindSource(s.place("volumes", key, "driver_opts", "device"), "volume "+key, device)
	if err == nil {
		options["device"] = device
	}
	return err
}

// bindOptions returns the driver_opts of a local volume that binds a path of the node,
// or nil.
func bindOptions(volume map[string]any) map[string]any {
	options := mapping(volume["driver_opts"])
	mode := strings.Split(fmt.Sprint(options["o"]), ",")
	if driver := volume["driver"]; !isEmpty(driver) && driver != "local" || !slices.Contains(mode, "bind") && !slices.Contains(mode, "rbind") {
		return nil
	}
	return options
}

// bindSource returns the absolute path of a bind source. what names the service or
// volume in errors.
func (r *renderer) bindSource(place fault.Place, what, source string) (string, error) {
	root := r.node.Config.Base.BindRoot
	switch {
	case path.IsAbs(source):
		return source, nil
	case strings.HasPrefix(source, "~"):
		return source, fault.New(place, "write the full path", "%s: the bind source %s means a home directory, which the agent does not have", what, source)
	case root == "":
		return source, fault.New(place, "write the full path, or set base.bind_root in config.yml",
			"%s: the bind source %s is relative, but the agent has no folder on the node for it", what, source)
	}
	absolute := path.Join(root, source)
	if absolute != root && !strings.HasPrefix(absolute, strings.TrimSuffix(root, "/")+"/") {
		return source, fault.New(place, "use a path in base.bind_root", "%s: the bind source %s leaves %s", what, source, root)
	}
	return absolute, nil
}

// adaptModes reads the modes of secret and config references as octal, also if they
// are texts from variables.
func adaptModes(s *source, name string, service map[string]any) error {
	var faults []error
	for _, key := range []string{"secrets", "configs"} {
		for _, item := range list(service[key]) {
			text, ok := mapping(item)["mode"].(string)
			if !ok {
				continue
			}
			mode, err := fileMode(text)
			if err != nil {
				faults = append(faults, fault.New(s.place("services", name, key), "write an octal mode such as 0440", "service %s: mode %q is not a file mode", name, text))
				continue
			}
			mapping(item)["mode"] = int(mode)
		}
	}
	return errors.Join(faults...)
}

// adaptFile checks that the file of a secret or config is in the repository. It also
// stores a config's inline content, which the docker CLI does not support.
func (r *renderer) adaptFile(s *source, section, key string, object map[string]any) error {
	place := s.place(section, key)
	if section == "configs" {
		delete(r.contents, key) // of an earlier file
	}
	if content, ok := object["content"]; ok {
		r.contents[key] = fmt.Sprint(content)
		r.inline[settingsOf{s, key}] = r.contents[key]
		delete(object, "content")
		return nil
	}
	file, ok := object["file"].(string)
	if !ok {
		return nil
	}
	resolved, err := r.resolve(file, place)
	if err != nil {
		return err
	}
	object["file"] = "/" + resolved
	return nil
}

func mapping(value any) map[string]any {
	m, _ := value.(map[string]any)
	return m
}

func list(value any) []any {
	l, _ := value.([]any)
	return l
}
