package compose

import (
	"errors"
	"maps"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/template"
	composetypes "github.com/compose-spec/compose-go/v2/types"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

// sections lists the top-level sections that an include adds.
var sections = []string{"services", "jobs", "networks", "volumes", "secrets", "configs", "models"}

// document returns the input for compose-go: the file with its includes, and with the
// services of other files that it extends, under private names.
func (s *source) document() (map[string]any, error) {
	document := maps.Clone(s.plain)
	if s.only != nil {
		document = map[string]any{"services": s.only}
	}
	var faults []error
	for _, one := range s.included {
		faults = append(faults, s.include(one, document))
	}
	for _, service := range slices.Sorted(maps.Keys(s.bases)) {
		base := s.bases[service]
		if base.source == s {
			continue
		}
		model, err := base.source.extendedModel(s.dir)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		services := ownSection(document, "services")
		extending := maps.Clone(mapping(services[service]))
		extending["extends"] = map[string]any{"service": privateName(service)}
		services[service] = extending
		services[privateName(service)] = mapping(model["services"])[base.service]
	}
	return document, errors.Join(faults...)
}

// ownSection replaces a section of a document by a copy that can be changed, and returns
// it. It returns nil if the section is not a mapping, which compose-go refuses.
func ownSection(document map[string]any, section string) map[string]any {
	all := maps.Clone(mapping(document[section]))
	if all == nil {
		if document[section] != nil {
			return nil
		}
		all = map[string]any{}
	}
	document[section] = all
	return all
}

// privateName returns the name, in the document, of the service in another file that a
// service extends. It has a dot, which Swarm does not allow in the names of real services.
func privateName(service string) string { return "coin-agent.base-of." + service }

// extendedModel returns the model of an extended file with only the extended services.
func (s *source) extendedModel(dir string) (map[string]any, error) {
	if s.loaded != nil {
		return s.loaded, nil
	}
	model, err := loadModel([]*source{s})
	if err != nil {
		return nil, err
	}
	if err := settle([]*source{s}, model, dir); err != nil {
		return nil, err
	}
	s.loaded, err = escaped(model)
	return s.loaded, err
}

// include adds the resources of an include to the document of the including file. It
// refuses two different resources with the same name.
func (s *source) include(included []*source, document map[string]any) error {
	model, err := loadModel(included)
	if err != nil {
		return err
	}
	faults := []error{settle(included, model, s.dir)}
	protected, err := escaped(model)
	if err != nil {
		return err
	}
	for _, section := range sections {
		resources := mapping(model[section])
		if len(resources) == 0 {
			continue
		}
		all := ownSection(document, section)
		if all == nil {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(resources)) {
			resource := mapping(protected[section])[name]
			if there, ok := all[name]; ok && !reflect.DeepEqual(there, resource) {
				if own := s.ownResource(section, name); own == nil || !reflect.DeepEqual(own, resources[name]) {
					faults = append(faults, s.conflict(included, section, name))
				}
				continue
			}
			all[name] = resource
		}
	}
	return errors.Join(faults...)
}

// ownResource returns the model of a network, volume, secret or config that the file
// itself defines, or nil.
func (s *source) ownResource(section, name string) any {
	own, ok := mapping(s.plain[section])[name]
	if !ok || section == "services" {
		return nil
	}
	alone := map[string]any{section: map[string]any{name: own}}
	dict, err := s.loadConfigs(composetypes.ConfigFile{Filename: s.path, Config: alone})
	if err != nil {
		return nil
	}
	return mapping(dict[section])[name]
}

// conflict returns a fault with the places of two resources with the same name.
func (s *source) conflict(included []*source, section, name string) error {
	inner := (&source{included: [][]*source{included}}).place(section, name)
	return fault.New(s.place(section, name), "rename one of the two, or extend the included service under another name",
		"%s %s: the included %s also defines it", strings.TrimSuffix(section, "s"), name, inner)
}

// settle changes the relative paths of an included or extended file, which start from
// its own folder, to paths from dir, the folder of the file that includes it.
func settle(files []*source, model map[string]any, dir string) error {
	from := &source{path: files[0].path, dir: files[0].dir, included: [][]*source{files}}
	var faults []error
	services := mapping(model["services"])
	for _, name := range slices.Sorted(maps.Keys(services)) {
		service := mapping(services[name])
		for _, file := range files {
			faults = append(faults, file.sameTargets(name, service))
		}
		for _, item := range list(service["env_file"]) {
			faults = append(faults, from.rebase(mapping(item), "path", dir, from.place("services", name, "env_file")))
		}
		labels := list(service["label_file"])
		for i := range labels {
			item := map[string]any{"path": labels[i]}
			faults = append(faults, from.rebase(item, "path", dir, from.place("services", name, "label_file")))
			labels[i] = item["path"]
		}
		for _, item := range list(service["volumes"]) {
			if volume := mapping(item); volume["type"] == "bind" {
				from.rebaseBind(volume, "source", dir)
			}
		}
	}
	for _, volume := range mapping(model["volumes"]) {
		if options := bindOptions(mapping(volume)); options != nil {
			from.rebaseBind(options, "device", dir)
		}
	}
	for _, section := range []string{"secrets", "configs"} {
		objects := mapping(model[section])
		for _, name := range slices.Sorted(maps.Keys(objects)) {
			faults = append(faults, from.rebase(mapping(objects[name]), "file", dir, from.place(section, name, "file")))
		}
	}
	return errors.Join(faults...)
}

// rebase changes a path from the folder of s to a path from dir. The files that the
// agent derives from the project settings are always in the node's folder.
func (s *source) rebase(object map[string]any, key, dir string, place fault.Place) error {
	name, ok := object[key].(string)
	if !ok || isDerived(name) {
		return nil
	}
	file, err := manifests.Resolve(s.dir, name, place)
	if err != nil {
		return err
	}
	object[key] = fromFolder(dir, file)
	return nil
}

// rebaseBind does the same for a bind source. It does not check the path.
func (s *source) rebaseBind(object map[string]any, key, dir string) {
	name, ok := object[key].(string)
	if ok && name != "" && !path.IsAbs(name) && !strings.HasPrefix(name, "~") {
		object[key] = fromFolder(dir, path.Join(s.dir, name))
	}
}

func isDerived(name string) bool {
	name = path.Clean(name)
	return !strings.Contains(name, "/") && strings.HasPrefix(name, ".project.") && strings.HasSuffix(name, "tmp.env")
}

// fromFolder returns the path of file relative to a folder. Both must be clean.
func fromFolder(dir, file string) string {
	name, err := filepath.Rel(dir, file)
	if err != nil {
		return file // a path above the repository, which is refused later
	}
	return name
}

// escaped returns a copy of a model that does not change in a second interpolation.
func escaped(model map[string]any) (map[string]any, error) {
	return interpolation.Interpolate(model, interpolation.Options{
		Substitute: func(text string, _ template.Mapping) (string, error) {
			return strings.ReplaceAll(text, "$", "$$"), nil
		},
	})
}
