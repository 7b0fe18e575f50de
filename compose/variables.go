package compose

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

const (
	tagPrefix     = "TAG_"
	versionPrefix = "SV_"
	autoVersion   = "auto"

	needKeys = "name the key files that open this node's SOPS files (age_key_files, pgp_key_files)"
)

// variables answers what a $NAME in a compose file means: node.env, then the
// SV_ overrides, then the defaults of TAG_ and SV_ (seed 2.3 and 2.4: a name
// that is unset or empty takes $TAG, or 0).
type variables struct {
	values  map[string]string
	missing map[string]bool
	lenient bool
}

// decideVariables settles every variable that the compose files mention.
func (r *renderer) decideVariables() error {
	v := &variables{
		values:  map[string]string{},
		missing: map[string]bool{},
		lenient: r.node.Config.Interpolation == manifests.Lenient,
	}
	r.variables = v
	for name, variable := range r.node.Variables {
		v.values[name] = variable.Value
	}
	maps.Copy(v.values, r.set.Versions())
	return r.decideVersions()
}

// decideVersions replaces versions that are not plain: sealed ones, and `auto`.
func (r *renderer) decideVersions() error {
	v := r.variables
	var faults []error
	for _, path := range r.set.Opaque() {
		if !r.options.AllowSealed {
			faults = append(faults, fault.New(fault.Place{File: path}, needKeys, "the versions in it cannot be read without a key"))
		}
	}
	for _, name := range r.set.SealedVersions() {
		if _, known := v.values[name]; known {
			continue
		}
		mentions := mentions(r.sources, name)
		switch {
		case len(mentions) == 0:
		case r.options.AllowSealed:
			v.values[name] = "0"
		default:
			faults = append(faults, fault.New(mentions[0], needKeys,
				"the version %s is encrypted and no key opens it", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.values)) {
		if v.values[name] == autoVersion && strings.HasPrefix(name, versionPrefix) {
			version, err := r.autoVersion(name)
			faults = append(faults, err)
			v.values[name] = version
		}
	}
	return errors.Join(faults...)
}

// autoVersion derives a version from the content of the secret whose name
// mentions the variable.
func (r *renderer) autoVersion(name string) (string, error) {
	for _, s := range r.sources {
		_, section := lookup(s.root, "secrets")
		for key, body := range pairs(section) {
			if slices.Contains(variablesIn(scalarAt(body, "name")), name) {
				return r.autoVersionOf(s, name, key, scalarAt(body, "file"))
			}
		}
	}
	return "0", nil
}

func (r *renderer) autoVersionOf(s *source, name, key, fileTemplate string) (string, error) {
	place := s.place("secrets", key)
	file, err := template.Substitute(fileTemplate, r.variables.lookup)
	if err == nil {
		file, err = r.resolve(file, place)
	}
	if err != nil {
		return "", fault.New(place, "", "secret %s: %w", key, err)
	}
	value, ok := r.set.Lookup(key, file)
	switch {
	case !ok, !value.Known() && r.options.AllowSealed:
		return "0", nil // a missing value is reported where the secret is rendered
	case !value.Known():
		return "", fault.New(place, needKeys, "%s=auto needs the secret's value, and no key opens it", name)
	}
	version, err := r.set.AutoVersion(key, value)
	if err != nil {
		return "", fault.New(place, fault.Hint(err), "%s=auto: %w", name, err)
	}
	return version, nil
}

// lookup is the template.Mapping of the files.
func (v *variables) lookup(name string) (string, bool) {
	value, ok := v.values[name]
	switch {
	case value != "":
		return value, true
	case strings.HasPrefix(name, tagPrefix) && v.values["TAG"] != "":
		return v.values["TAG"], true
	case strings.HasPrefix(name, versionPrefix):
		return "0", true
	case strings.HasPrefix(name, tagPrefix):
		return "", false
	}
	return value, ok
}

// substitute replaces the variables of one string and remembers those that are
// unset and have no default.
func (v *variables) substitute(text string, mapping template.Mapping) (string, error) {
	replace := func(part string, mapping template.Mapping, cfg *template.Config) (string, error) {
		value, applied, err := template.DefaultReplacementAppliedFunc(part, mapping, cfg)
		if err == nil && !applied {
			for _, name := range variablesIn(part) {
				if _, ok := mapping(name); !ok {
					v.missing[name] = true
				}
			}
		}
		return value, err
	}
	return template.SubstituteWithOptions(text, mapping, template.WithoutLogging, template.WithReplacementFunction(replace))
}

// environment is what a bare name in `environment` takes its value from. The
// defaults of TAG_ and SV_ are in it for the variables that a file mentions.
func (v *variables) environment(sources []*source) map[string]string {
	all := maps.Clone(v.values)
	for _, s := range sources {
		s.scalars(func(node *yaml.Node) {
			for _, name := range variablesIn(node.Value) {
				if value, ok := v.lookup(name); ok {
					all[name] = value
				}
			}
		})
	}
	return all
}

// faults gives an error for each variable that is unset, at the places that
// mention it (design, Settings, rule 4).
func (v *variables) faults(sources []*source) []error {
	if v.lenient {
		return nil
	}
	var faults []error
	for _, one := range v.unset(sources, "is not set and has no default") {
		faults = append(faults, one)
	}
	return faults
}

func (v *variables) warnings(sources []*source) []*fault.Error {
	return v.unset(sources, "is not set and counts as empty")
}

func (v *variables) unset(sources []*source, what string) []*fault.Error {
	var all []*fault.Error
	for _, name := range slices.Sorted(maps.Keys(v.missing)) {
		hint := fmt.Sprintf("set %s in node.env, or give a default: ${%s:-value}", name, name)
		if strings.HasPrefix(name, tagPrefix) {
			hint = fmt.Sprintf("set TAG (or %s) in node.env", name)
		}
		for _, place := range mentions(sources, name) {
			all = append(all, fault.New(place, hint, "the variable %s %s", name, what))
		}
	}
	return all
}

// mentions lists where the files mention a variable, once a line.
func mentions(sources []*source, name string) []fault.Place {
	var places []fault.Place
	for _, s := range sources {
		s.scalars(func(node *yaml.Node) {
			place := fault.Place{File: s.path, Line: node.Line}
			if slices.Contains(variablesIn(node.Value), name) && !slices.Contains(places, place) {
				places = append(places, place)
			}
		})
	}
	return places
}

// variablesIn lists the variables that a template mentions, nested ones too,
// sorted.
func variablesIn(text string) []string {
	if !strings.Contains(text, "$") {
		return nil
	}
	found := template.ExtractVariables(map[string]any{"": text}, template.DefaultPattern)
	for _, variable := range found {
		for _, nested := range []string{variable.DefaultValue, variable.PresenceValue} {
			for _, name := range variablesIn(nested) {
				found[name] = template.Variable{Name: name}
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// scalarAt gives the text of a mapping's scalar, "" when it has none.
func scalarAt(node *yaml.Node, key string) string {
	_, value := lookup(node, key)
	if value = deref(value); value == nil || value.Kind != yaml.ScalarNode {
		return ""
	}
	return value.Value
}
