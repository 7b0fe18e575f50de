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

// ignored are the service keys that Compose has and Swarm cannot follow, with
// what happens instead. They are dropped with a warning.
var ignored = map[string]string{
	"build":          "images are built elsewhere; image is deployed as it is",
	"cgroup_parent":  "Swarm has no such setting",
	"cgroupns_mode":  "Swarm has no such setting",
	"container_name": "Swarm names its containers itself",
	"depends_on":     "Swarm starts services in any order",
	"devices":        "Swarm has no such setting",
	"domainname":     "Swarm has no such setting",
	"expose":         "services of one network reach each other on any port",
	"external_links": "use networks",
	"ipc":            "Swarm has no such setting",
	"links":          "services of one network reach each other by name",
	"mac_address":    "Swarm has no such setting",
	"network_mode":   "the service joins the networks that it lists, or the stack's default",
	"pid":            "Swarm has no such setting",
	"privileged":     "Swarm runs no privileged containers",
	"security_opt":   "Swarm has no such setting",
	"shm_size":       "mount a tmpfs at /dev/shm instead",
	"tmpfs":          "mount a volume of type tmpfs instead",
	"userns_mode":    "Swarm has no such setting",
}

// adapt changes compose-go's model of a file in place into what the docker
// CLI's loader takes.
func (r *renderer) adapt(s *source, dict map[string]any) error {
	delete(dict, "name")
	var faults []error
	services := mapping(dict["services"])
	for _, name := range slices.Sorted(maps.Keys(services)) {
		service := mapping(services[name])
		faults = append(faults, r.adaptService(s, name, service))
	}
	for _, section := range []string{"networks", "volumes", "secrets", "configs"} {
		for _, object := range mapping(dict[section]) {
			adaptTexts(mapping(object), "labels", "driver_opts")
		}
	}
	for _, section := range []string{"secrets", "configs"} {
		objects := mapping(dict[section])
		for _, key := range slices.Sorted(maps.Keys(objects)) {
			faults = append(faults, r.adaptFile(s, section, key, mapping(objects[key])))
		}
	}
	return errors.Join(faults...)
}

func (r *renderer) adaptService(s *source, name string, service map[string]any) error {
	for _, key := range slices.Sorted(maps.Keys(ignored)) {
		if _, ok := service[key]; ok {
			r.warn(s.place("services", name, key), ignored[key], "service %s: %s has no effect in Swarm", name, key)
			delete(service, key)
		}
	}
	adaptNumbers(service)
	adaptTexts(service, "environment", "labels", "sysctls")
	adaptTexts(mapping(service["deploy"]), "labels")
	adaptTexts(mapping(service["logging"]), "options")
	return errors.Join(
		sameTargets(s, name, service),
		r.adaptPorts(s, name, service),
		r.adaptVolumes(s, name, service),
		adaptModes(s, name, service),
		r.adaptEnvironment(s, name, service),
	)
}

// sameTargets refuses what compose-go leaves out without a word: the first of two
// mounts, secrets or configs at one target. The engine would refuse both.
func sameTargets(s *source, name string, service map[string]any) error {
	written := mapping(mapping(s.plain["services"])[name])
	var faults []error
	for _, key := range []string{"volumes", "secrets", "configs"} {
		if len(list(service[key])) < len(list(written[key])) {
			faults = append(faults, fault.New(s.place("services", name, key), "give one of them another target",
				"service %s: two of its %s have one target", name, key))
		}
	}
	return errors.Join(faults...)
}

// adaptNumbers writes CPU counts as the text that the docker CLI wants.
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

// adaptTexts writes the booleans of these mappings as text, since the docker CLI
// wants text there.
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

// adaptPorts turns published ports into numbers; a host address has no meaning
// in Swarm (docker CLI: "service will listen on 0.0.0.0").
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
		delete(port, "name")
		delete(port, "app_protocol")
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
		for number := first; number <= last; number++ { // 7000-7001:80 publishes one port twice
			one := maps.Clone(port)
			one["published"] = number
			ports = append(ports, one)
		}
	}
	if ports != nil {
		service["ports"] = ports
	}
	if len(exposed) > 0 {
		r.warn(place, "drop the address, or close the port on the others with a firewall",
			"service %s: Swarm publishes a port on every address of the node, not on one: %s", name, strings.Join(exposed, ", "))
	}
	return errors.Join(faults...)
}

// portRange reads a published port, or several such as 7000-7001.
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

// adaptVolumes drops what the docker CLI does not know of a mount and gives
// relative bind sources their lasting place (design, Compose files).
func (r *renderer) adaptVolumes(s *source, name string, service map[string]any) error {
	place := s.place("services", name, "volumes")
	var faults []error
	for _, item := range list(service["volumes"]) {
		volume := mapping(item)
		r.adaptBind(place, name, volume)
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
				faults = append(faults, fault.New(place, "give it a source", "service %s: the bind mount at %v has no source", name, volume["target"]))
				continue
			}
			source, err := r.bindSource(place, name, source)
			faults = append(faults, err)
			volume["source"] = source
		}
	}
	return errors.Join(faults...)
}

// adaptBind drops the bind options that compose-go adds to a mount of the short
// syntax, and those that Swarm has not.
func (r *renderer) adaptBind(place fault.Place, name string, volume map[string]any) {
	bind := mapping(volume["bind"])
	_, added := bind["create_host_path"]
	delete(bind, "create_host_path")
	if label, ok := bind["selinux"]; ok {
		r.warn(place, "label the files on the nodes", "service %s: the option %v of the mount at %v has no effect in Swarm", name, label, volume["target"])
		delete(bind, "selinux")
		added = true
	}
	if added && len(bind) == 0 {
		delete(volume, "bind")
	}
}

func (r *renderer) bindSource(place fault.Place, service, source string) (string, error) {
	root := r.node.Config.Base.BindRoot
	switch {
	case path.IsAbs(source):
		return source, nil
	case strings.HasPrefix(source, "~"):
		return source, fault.New(place, "write the whole path", "service %s: the bind source %s means a home directory, and the agent has none", service, source)
	case root == "":
		return source, fault.New(place, "write the whole path, or set base.bind_root in config.yml",
			"service %s: the relative bind source %s has no lasting place on the node", service, source)
	}
	absolute := path.Join(root, source)
	if absolute != root && !strings.HasPrefix(absolute, strings.TrimSuffix(root, "/")+"/") {
		return source, fault.New(place, "keep the path below base.bind_root", "service %s: the bind source %s leaves %s", service, source, root)
	}
	return absolute, nil
}

// adaptModes reads the mode of secret and config references as octal, also
// where a variable made it text (Compose specification).
func adaptModes(s *source, name string, service map[string]any) error {
	var faults []error
	for _, key := range []string{"secrets", "configs"} {
		for _, item := range list(service[key]) {
			text, ok := mapping(item)["mode"].(string)
			if !ok {
				continue
			}
			mode, err := strconv.ParseUint(strings.TrimPrefix(text, "0o"), 8, 32)
			if err != nil {
				faults = append(faults, fault.New(s.place("services", name, key), "write an octal mode such as 0440", "service %s: mode %q is no file mode", name, text))
				continue
			}
			mapping(item)["mode"] = int(mode)
		}
	}
	return errors.Join(faults...)
}

// adaptFile confines the file of a secret or config to the repository, and
// keeps a config's inline content, which the docker CLI does not know.
func (r *renderer) adaptFile(s *source, section, key string, object map[string]any) error {
	place := s.place(section, key)
	if section == "secrets" && (object["environment"] != nil || object["content"] != nil) {
		return fault.New(place, "keep the value in secrets.enc", "secret %s: a value in the clear is refused", key)
	}
	if content, ok := object["content"]; ok {
		r.contents[key] = fmt.Sprint(content)
		delete(object, "content")
		delete(object, "environment")
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
