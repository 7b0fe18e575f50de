package compose

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	composego "github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/override"
	"github.com/compose-spec/compose-go/v2/schema"
	composetypes "github.com/compose-spec/compose-go/v2/types"
	"github.com/compose-spec/compose-go/v2/validation"
)

// untouched lists the keys of a service whose values compose-go leaves as they are, and
// untouchedMappings those whose values it leaves if they are mappings.
var (
	untouched = []string{
		"command", "container_name", "domainname", "entrypoint", "extra_hosts", "healthcheck", "hostname", "image", "init", "isolation",
		"logging", "mac_address", "pid", "privileged", "pull_policy", "read_only", "restart", "scale", "security_opt", "shm_size", "stdin_open",
		"stop_grace_period", "stop_signal", "tty", "user", "userns_mode", "working_dir",
	}
	untouchedMappings = []string{"annotations", "environment", "labels", "sysctls"}
)

// loadAlone loads a file that Compose merges with no other one. It returns what
// LoadModelWithContext makes of it. Compose-go compares the path of each value with all its
// rules, and splits both each time, which was two fifths of what a render allocated. So it gets
// only the values that it has rules for. Its schema is checked on all values.
func loadAlone(details composetypes.ConfigDetails) (map[string]any, error) {
	load := func(config map[string]any, further ...func(*composego.Options)) (map[string]any, error) {
		alone := details
		alone.ConfigFiles = []composetypes.ConfigFile{{Filename: details.ConfigFiles[0].Filename, Config: config}}
		return loadTogether(alone, further...)
	}
	document := details.ConfigFiles[0].Config
	services := mapping(document["services"])
	if len(services) == 0 || document["jobs"] != nil || hasOtherKeys(document) {
		return load(document)
	}
	linked := linkedServices(services)
	var complete map[string]any
	if len(linked) > 0 {
		model, err := load(map[string]any{"services": linked})
		if err != nil {
			return nil, err
		}
		complete = mapping(model["services"])
		maps.DeleteFunc(services, func(name string, _ any) bool { _, is := linked[name]; return is })
	}
	shown, err := override.EnforceUnicity(withoutUntouched(document)) // the schema is for lists without duplicates
	if err != nil {
		return nil, err
	}
	for name, service := range mapping(shown["services"]) {
		maps.Copy(mapping(services[name]), mapping(service))
	}
	if err := schema.Validate(document); err != nil {
		return nil, fmt.Errorf("validating %s: %w", details.ConfigFiles[0].Filename, err)
	}
	model, err := load(shown, composego.WithSkipValidation)
	if err != nil {
		return nil, err
	}
	delete(model, "version") // compose-go does so with the check of the schema
	restoreObjects(model, document)
	if err := validation.Validate(model); err != nil {
		return nil, err
	}
	restoreServices(model, document)
	maps.Copy(mapping(model["services"]), complete)
	return model, nil
}

// hasOtherKeys reports whether a mapping in value has keys that are not texts. Compose-go
// refuses or converts those.
func hasOtherKeys(value any) bool {
	switch value := value.(type) {
	case map[string]any:
		for _, one := range value {
			if hasOtherKeys(one) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(value, hasOtherKeys)
	case map[any]any:
		return true
	}
	return false
}

// linkedServices gives the services that extend others or are extended, and those that have
// the keys that compose-go renames before it checks the schema.
func linkedServices(services map[string]any) map[string]any {
	linked := map[string]any{}
	for name, service := range services {
		body := mapping(service)
		_, renamed := body["x-develop"]
		_, extends := body["extends"]
		if body != nil && !renamed && !extends {
			continue
		}
		linked[name] = service
		if reference, file := extendsOf(service); file == "" && services[reference] != nil {
			linked[reference] = services[reference]
		}
	}
	return linked
}

// withoutUntouched gives a copy of a document that lacks what compose-go leaves as it is. Its
// extensions at the top level are there without their content.
func withoutUntouched(document map[string]any) map[string]any {
	shown := maps.Clone(document)
	for section, value := range document {
		switch {
		case strings.HasPrefix(section, "x-"):
			shown[section] = nil
		case section == "services":
			shown[section] = shownServices(mapping(value))
		case isUntouchedSection(section, value):
			objects := maps.Clone(mapping(value))
			maps.DeleteFunc(objects, func(_ string, object any) bool { return isUntouchedObject(object) })
			shown[section] = objects
		}
	}
	return shown
}

func shownServices(services map[string]any) map[string]any {
	shown := make(map[string]any, len(services))
	for name, service := range services {
		part := map[string]any{}
		for key, value := range mapping(service) {
			if !isUntouched(key, value) {
				part[key] = value
			}
		}
		shown[name] = part
	}
	return shown
}

// isUntouched reports whether compose-go leaves the value of a service's key as it is.
func isUntouched(key string, value any) bool {
	if _, is := value.(map[string]any); is && slices.Contains(untouchedMappings, key) {
		return true
	}
	if deploy := mapping(value); deploy != nil && key == "deploy" {
		_, labels := deploy["labels"].([]any)
		reservations := mapping(mapping(deploy["resources"])["reservations"])
		return !labels && reservations["devices"] == nil
	}
	return slices.Contains(untouched, key)
}

// isUntouchedSection reports whether a section can have objects that compose-go leaves as they
// are, apart from the checks in its package validation.
func isUntouchedSection(section string, value any) bool {
	return (section == "secrets" || section == "configs") && mapping(value) != nil
}

func isUntouchedObject(value any) bool {
	object := mapping(value)
	return object != nil && object["external"] == nil && object["environment"] == nil
}

// restoreObjects adds to a model the extensions and objects that withoutUntouched left out.
func restoreObjects(model, document map[string]any) {
	for section, value := range document {
		switch {
		case strings.HasPrefix(section, "x-"):
			model[section] = value
		case isUntouchedSection(section, value):
			for name, object := range mapping(value) {
				if isUntouchedObject(object) {
					mapping(model[section])[name] = object
				}
			}
		}
	}
}

// restoreServices adds to the services of a model what withoutUntouched left out.
func restoreServices(model, document map[string]any) {
	services := mapping(model["services"])
	for name, service := range mapping(document["services"]) {
		for key, value := range mapping(service) {
			if isUntouched(key, value) {
				mapping(services[name])[key] = value
			}
		}
	}
}
