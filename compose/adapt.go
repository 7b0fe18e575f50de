package compose

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

// adapt changes compose-go's model of a file, in place, to the form that the docker CLI's
// loader accepts. It keeps what that form cannot contain.
func (a *adapter) adapt(s *source, dict map[string]any) error {
	a.warnName(s)
	delete(dict, "name")
	services := mapping(dict["services"])
	faults := a.judge(s, "", nil, dict)
	for _, name := range slices.Sorted(maps.Keys(services)) {
		m := &serviceModel{source: s, name: name, model: mapping(services[name]), warnings: a.warnings}
		faults = append(faults, a.adaptNetworkMode(m, dict), a.adaptService(m))
	}
	for _, section := range []string{"networks", "volumes", "secrets", "configs"} {
		objects := mapping(dict[section])
		for _, key := range slices.Sorted(maps.Keys(objects)) {
			object := mapping(objects[key])
			adaptTexts(object, "labels", "driver_opts")
			if section == "volumes" {
				faults = append(faults, a.adaptDevice(s, key, object))
			}
			faults = append(faults, a.adaptFile(s, section, key, object))
		}
	}
	return errors.Join(faults...)
}

// warnName warns of a top-level name that differs from the stack's.
func (a *adapter) warnName(s *source) {
	name, err := a.variables.substitute(scalarAt(s.root, "name"), a.variables.lookup)
	if err == nil && name != "" && name != a.files.node.Stack {
		a.warnings.add(s.place("name"), "remove it, or change nodes[].stack in config.yml", "name has no effect: config.yml names the stack %s", a.files.node.Stack)
	}
}

func (a *adapter) adaptService(m *serviceModel) error {
	m.adaptNumbers()
	adaptTexts(m.model, "environment", "labels", "sysctls")
	adaptTexts(mapping(m.model["deploy"]), "labels")
	adaptTexts(mapping(m.model["logging"]), "options")
	faults := []error{
		m.source.sameTargets(m.name, m.model),
		m.adaptPorts(),
		a.setAside(m),
		a.adaptVolumes(m),
		m.adaptModes(),
	}
	_, err := a.addFiles(m, "label_file", "labels")
	return errors.Join(append(faults, err, a.adaptEnvironment(m))...)
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

// adaptVolumes removes the options of mounts that the docker CLI does not support, and
// resolves relative bind sources.
func (a *adapter) adaptVolumes(m *serviceModel) error {
	m.warnHostPaths()
	var faults []error
	for _, item := range list(m.model["volumes"]) {
		volume := mapping(item)
		adaptBind(volume)
		m.warnAnonymous(volume)
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
				faults = append(faults, m.fault("volumes", "add a source", "the bind mount at %v has no source", volume["target"]))
				continue
			}
			source, err := a.bindSource(m.place("volumes"), "service "+m.name, source)
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

// adaptDevice resolves the path that a local volume binds, like that of a bind mount.
func (a *adapter) adaptDevice(s *source, key string, volume map[string]any) error {
	options := bindOptions(volume)
	device, ok := options["device"].(string)
	if !ok || device == "" {
		return nil
	}
	device, err := a.bindSource(s.place("volumes", key, "driver_opts", "device"), "volume "+key, device)
	options["device"] = device
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
func (a *adapter) bindSource(place fault.Place, what, source string) (string, error) {
	root := a.files.node.Config.Base.BindRoot
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

// sameTargets refuses two mounts, secrets or configs with the same target. Compose-go
// silently omits the first one. The engine would refuse both.
func (s *source) sameTargets(name string, service map[string]any) error {
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

// inlineContent is the key of a config's content for the docker CLI, which supports only
// files. Its loader keeps an extension as it is.
const inlineContent = "x-coin-agent-content"

// adaptFile checks that the file of a secret or config is in the repository. It renames a
// config's content.
func (a *adapter) adaptFile(s *source, section, key string, object map[string]any) error {
	if content, ok := object["content"]; ok {
		object[inlineContent] = fmt.Sprint(content)
		delete(object, "content")
		return nil
	}
	file, ok := object["file"].(string)
	if !ok {
		return nil
	}
	resolved, err := manifests.Resolve(a.files.node.Dir, file, s.place(section, key))
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
