package compose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/compose-spec/compose-go/v2/interpolation"
	composego "github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	composetypes "github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
)

// loadModel reads files that Compose merges, by the Compose specification (interpolation,
// anchors, extends, include), into one dictionary: one of the node's files, an extended
// file, or the files of an include.
func loadModel(files []*source) (map[string]any, error) {
	var configs []composetypes.ConfigFile
	var documents []map[string]any
	for _, s := range files {
		document, err := s.document()
		if err := s.check.pass(err); err != nil {
			return nil, err
		}
		documents = append(documents, document)
		configs = append(configs, composetypes.ConfigFile{Filename: s.path, Config: document})
	}
	bounds := files[0].budget
	before := *bounds
	dict, err := files[0].loadConfigs(configs...)
	for err != nil {
		if bounds.exceeded != nil {
			return nil, bounds.in(files[0])
		}
		found := blame(files, documents, err, func(i int, part map[string]any) error {
			*bounds = before // the parts were counted with the whole
			config := composetypes.ConfigFile{Filename: files[i].path, Config: withBases(documents[i], part)}
			_, err := files[i].loadConfigs(config)
			return err
		})
		if !files[0].check.leavesOut(found, documents[found.file], files[found.file].plain) {
			return nil, found.err
		}
		*bounds = before
		dict, err = files[0].loadConfigs(configs...)
	}
	if err := bounds.model(files[0].path, dict); err != nil {
		return nil, err
	}
	delete(dict, "include")
	for _, s := range files {
		for service := range s.bases {
			delete(mapping(dict["services"]), privateName(service))
		}
	}
	plain, err := plainValue(dict)
	if err != nil {
		return nil, fault.New(fault.Place{File: files[0].path}, "", "read compose file: %w", err)
	}
	keepTargets(files, mapping(plain))
	return mapping(plain), nil
}

// keepTargets gives the mounts the targets that are in the files, as docker does.
// Compose-go cleans those in short syntax: /data/ becomes /data. Of two mounts that differ
// only in that, the later one counts.
func keepTargets(files []*source, model map[string]any) {
	for name, service := range mapping(model["services"]) {
		written := map[string]string{}
		for _, s := range files {
			s.addTargets(name, written)
		}
		at := map[string]int{}
		var kept []any
		for _, item := range list(mapping(service)["volumes"]) {
			volume := mapping(item)
			target, _ := volume["target"].(string)
			if text, ok := written[target]; ok {
				volume["target"] = text
			}
			if i, twice := at[path.Clean(target)]; twice {
				kept[i] = item
				continue
			}
			at[path.Clean(target)] = len(kept)
			kept = append(kept, item)
		}
		if kept != nil {
			mapping(service)["volumes"] = kept
		}
	}
}

// addTargets adds the targets of a service's mounts, by their clean form. Those of a
// service in another file that it extends are in the document as they are written.
func (s *source) addTargets(service string, written map[string]string) {
	if base := s.bases[service]; base.source == s {
		s.addTargets(base.service, written)
	}
	for _, mount := range itemsOf(s.service(service), "volumes") {
		if target := mountTarget(s, mount); target != "" {
			written[path.Clean(target)] = target
		}
	}
}

// loadConfigs loads the configs with compose-go, with the variables of s. A name without a
// value in `environment` gets its value from the env_files of includes.
func (s *source) loadConfigs(configs ...composetypes.ConfigFile) (dict map[string]any, err error) {
	details := composetypes.ConfigDetails{WorkingDir: "/", ConfigFiles: slices.Clone(configs), Environment: s.variables.settings()}
	err = guard(func() error {
		for i := range details.ConfigFiles {
			one := &details.ConfigFiles[i]
			if one.Config, err = s.interpolate(one.Config); err != nil {
				return err
			}
		}
		if len(details.ConfigFiles) == 1 {
			dict, err = loadAlone(details)
			return err
		}
		dict, err = loadTogether(details)
		return err
	})
	return dict, err
}

// loadTogether loads files with compose-go.
func loadTogether(details composetypes.ConfigDetails, further ...func(*composego.Options)) (map[string]any, error) {
	all := append([]func(*composego.Options){options}, further...)
	return composego.LoadModelWithContext(context.TODO(), details, all...) //nolint:forbidigo // it does not fetch files, so it needs no cancellation
}

// options has compose-go read the given documents and nothing else, and add nothing.
func options(o *composego.Options) {
	o.SetProjectName("stack", true) // Compose may refuse the stack's name
	o.SkipNormalization = true
	o.SkipDefaultValues = true
	o.SkipConsistencyCheck = true
	o.SkipResolveEnvironment = true
	o.SkipInclude = true // an include would read from the disk
	o.ResolvePaths = false
	o.Interpolate = &interpolation.Options{Substitute: asWritten} // the documents are interpolated
	o.ResourceLoaders = append(o.ResourceLoaders, noFiles{})
}

// asWritten substitutes nothing.
func asWritten(text string, _ template.Mapping) (string, error) { return text, nil }

// noFiles prevents compose-go from reading files.
type noFiles struct{}

func (noFiles) Accept(string) bool { return true }
func (noFiles) Load(context.Context, string) (string, error) {
	return "", errors.New("other files are not read")
}
func (noFiles) Dir(string) string { return "." }

// withBases returns a part of a document with the services that its services extend.
func withBases(document, part map[string]any) map[string]any {
	services := maps.Clone(mapping(part["services"]))
	if services == nil {
		return part
	}
	all := mapping(document["services"])
	for waiting := slices.Sorted(maps.Keys(services)); len(waiting) > 0; waiting = waiting[1:] {
		name, _ := extendsOf(services[waiting[0]])
		if _, there := services[name]; !there && all[name] != nil {
			services[name] = all[name]
			waiting = append(waiting, name)
		}
	}
	complete := maps.Clone(part)
	complete["services"] = services
	return complete
}

// plainValue converts the values in maps and lists, in place. It converts other types
// through YAML.
func plainValue(value any) (plain any, err error) {
	switch value := value.(type) {
	case nil, string, bool, int:
		return value, nil
	case map[string]any:
		for key, one := range value {
			if value[key], err = plainValue(one); err != nil {
				return nil, err
			}
		}
		return value, nil
	case []any:
		for i, one := range value {
			if value[i], err = plainValue(one); err != nil {
				return nil, err
			}
		}
		return value, nil
	}
	data, err := yaml.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("marshal model: %w", err)
	}
	if err := yaml.Unmarshal(data, &plain); err != nil {
		return nil, fmt.Errorf("unmarshal model: %w", err)
	}
	return plain, nil
}
