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
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

const (
	tagPrefix     = "TAG_"
	versionPrefix = "SV_"
	autoVersion   = "auto"

	needKeys = "set age_key_files or pgp_key_files to the keys of this node's SOPS files"
)

// variables holds the values of $NAME in a compose file: from node.env, the SV_
// overrides, and the env_file of the include. An empty TAG_ or SV_ variable counts as
// unset. Their defaults are in defaults.go.
type variables struct {
	values  map[string]string
	given   map[string]string // by config.yml, for names that nothing sets; those of the node's own files have them
	outer   *variables        // of the file that includes or extends this one; they take precedence
	missing map[string]bool
	guess   string // the value of an unset variable
	budget  *budget
}

// nodeVariables returns the values that do not depend on the compose files.
func nodeVariables(node *manifests.Node, set *secrets.Set) *variables {
	v := &variables{values: map[string]string{}, given: map[string]string{}, missing: map[string]bool{}, budget: &budget{limits: limits.Of(node.FS)}}
	for name, variable := range node.Variables {
		if variable.Given {
			v.given[name] = variable.Value
		} else {
			v.values[name] = variable.Value
		}
	}
	maps.Copy(v.values, set.Versions())
	return v
}

// inner returns the variables of an included or extended file.
func (v *variables) inner(values map[string]string) *variables {
	return &variables{values: values, outer: v, missing: map[string]bool{}, guess: v.guess, budget: v.budget}
}

// versions decides the values of the SV_ variables.
type versions struct {
	files       *files
	set         *secrets.Set
	allowSealed bool
	auto        func(before, after string) string // Options.Auto
}

// decide replaces the versions that are sealed or `auto` in the variables of the files.
func (d versions) decide(v *variables) error {
	fromVault, err := d.vaultVersions(v)
	faults := []error{err}
	d.autoDefaults(v)
	for _, path := range d.set.Opaque() {
		if !d.allowSealed {
			faults = append(faults, fault.New(fault.Place{File: path}, needKeys, "the agent has no key to read the versions in this file"))
		}
	}
	for _, name := range d.set.SealedVersions() {
		if _, known := v.values[name]; known {
			continue
		}
		mentions := mentions(d.files.all, name)
		switch {
		case len(mentions) == 0:
		case d.allowSealed:
			v.values[name] = "0"
		default:
			faults = append(faults, fault.New(mentions[0], needKeys,
				"the version %s is encrypted, and the agent has no key for it", name))
		}
	}
	for _, s := range d.files.all {
		values := s.variables.values
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if values[name] == autoVersion && strings.HasPrefix(name, versionPrefix) && fromVault[name] == "" {
				version, err := d.autoVersion(name)
				d.files.auto[name] = true
				faults = append(faults, err)
				values[name] = version
			}
		}
	}
	return errors.Join(faults...)
}

// autoDefaults sets the unset versions whose default in a secret's name is `auto`.
func (d versions) autoDefaults(v *variables) {
	for _, s := range d.files.all {
		_, section := lookup(s.root, "secrets")
		for _, body := range pairs(section) {
			name := scalarAt(body, "name")
			variable, version := VersionIn(name, s.variables.lookup)
			if version == autoVersion {
				v.values[variable] = autoVersion
			}
		}
	}
}

// autoVersion derives a version from the content of the secret whose name contains the
// variable.
func (d versions) autoVersion(name string) (string, error) {
	for _, s := range d.files.all {
		if s.only != nil {
			continue // only its services count
		}
		_, section := lookup(s.root, "secrets")
		for key, body := range pairs(section) {
			template := scalarAt(body, "name")
			if !slices.Contains(variablesIn(template), name) {
				continue
			}
			if d.auto == nil {
				return d.autoVersionOf(s, name, key, scalarAt(body, "file"))
			}
			return d.givenVersion(s, name, template), nil
		}
	}
	return "0", nil
}

// givenVersion gives the version by Options.Auto: no content of a secret is asked for.
func (d versions) givenVersion(s *source, name, template string) string {
	const version = "\x00"
	text, err := Substitute(template, func(variable string) (string, bool) {
		if variable == name {
			return version, true
		}
		return s.variables.lookup(variable)
	})
	before, after, found := strings.Cut(text, version)
	if err != nil || !found {
		return autoVersion // a malformed name is refused elsewhere
	}
	return d.auto(before, after)
}

func (d versions) autoVersionOf(s *source, name, key, fileTemplate string) (string, error) {
	place := s.place("secrets", key)
	file, err := Substitute(fileTemplate, s.variables.lookup)
	if err == nil {
		file, err = manifests.Resolve(s.dir, file, place)
	}
	if err != nil {
		return "", fault.New(place, "", "secret %s: %w", key, err)
	}
	value, ok := d.set.Lookup(key, file)
	switch {
	case !ok, !value.Known() && d.allowSealed:
		return "0", nil // convertSecrets reports a missing value
	case !value.Known():
		return "", fault.New(place, needKeys, "%s=auto needs the secret's value, but the agent has no key for it", name)
	}
	version, err := d.set.AutoVersion(key, value)
	if err != nil {
		return "", fault.New(place, fault.Hint(err), "%s=auto: %w", name, err)
	}
	return version, nil
}

// lookup returns a value without the defaults of TAG_ and SV_. It is a template.Mapping.
func (v *variables) lookup(name string) (string, bool) {
	value, ok := v.value(name)
	if value == "" && (strings.HasPrefix(name, tagPrefix) || strings.HasPrefix(name, versionPrefix)) {
		return "", false
	}
	return value, ok
}

// value returns the value that a variable is set to, or that config.yml gives.
func (v *variables) value(name string) (value string, ok bool) {
	for one := v; one != nil; one = one.outer { // the outermost has precedence
		if set, found := one.values[name]; found {
			value, ok = set, true
		}
	}
	for one := v; one != nil && !ok; one = one.outer {
		value, ok = one.given[name]
	}
	return value, ok
}

// interpolate is substitute for the model of a file, within the budget.
func (v *variables) interpolate(text string, mapping template.Mapping) (string, error) {
	if v.budget.exceeded != nil {
		return "", v.budget.exceeded
	}
	value, err := v.substitute(text, mapping)
	if err == nil {
		err = v.budget.replaced(text, value)
	}
	return value, err
}

// substitute replaces the variables in a text, and records those that are unset and
// have no default.
func (v *variables) substitute(text string, mapping template.Mapping) (string, error) {
	if !strings.Contains(text, "$") {
		return text, nil
	}
	var replace template.ReplacementFunc
	replace = func(part string, mapping template.Mapping, cfg *template.Config) (string, error) {
		part, rest := cutVariable(part)
		value, applied, err := template.DefaultReplacementAppliedFunc(part, mapping, cfg)
		switch {
		case err != nil:
			return value, err
		case applied:
			err = v.nested(part, mapping)
		default:
			for _, name := range variablesIn(part) {
				if _, ok := mapping(name); !ok {
					v.missing[name] = true
					value = v.guess
				}
			}
		}
		if err != nil || rest == "" {
			return value, err
		}
		rest, err = template.SubstituteWithOptions(rest, mapping, template.WithoutLogging, template.WithReplacementFunction(replace))
		return value + rest, err
	}
	text = withDefaults(text, mapping)
	return template.SubstituteWithOptions(text, mapping, template.WithoutLogging, template.WithReplacementFunction(replace))
}

// nested records the unset variables in the default or alternative that applies.
func (v *variables) nested(part string, mapping template.Mapping) error {
	if strings.LastIndex(part, "$") == 0 {
		return nil // neither has a variable
	}
	for name, variable := range extracted(part) {
		value, set := mapping(name)
		if strings.Contains(part, ":") { // as in ${A:-b}: empty counts as unset
			set = value != ""
		}
		inner := variable.DefaultValue
		if set {
			inner = variable.PresenceValue
		}
		if _, err := v.substitute(inner, mapping); err != nil {
			return err
		}
	}
	return nil
}

// settings returns the values that the env_files of includes set.
func (v *variables) settings() map[string]string {
	all := map[string]string{}
	for one := v; one.outer != nil; one = one.outer {
		for name := range one.values {
			all[name], _ = v.lookup(name)
		}
	}
	return all
}

// environment returns the values for names without a value in `environment` and in
// env_files: what deployment.sh exported for docker. It has the defaults of TAG_ and SV_
// for the variables that a file mentions without a default of its own.
func (v *variables) environment(sources []*source) map[string]string {
	all := maps.Clone(v.given)
	maps.Copy(all, v.values)
	for _, s := range sources {
		walkScalars(s.root, func(node *yaml.Node) {
			for _, form := range plainForm.FindAllString(node.Value, -1) {
				if value, err := Substitute(form, v.lookup); err == nil && value != "" && form != "$$" {
					all[strings.Trim(form, "${}")] = value
				}
			}
		})
	}
	return all
}

// join joins the faults of the files. If variables are unset, it returns only these
// faults: their empty values may cause the others.
func (f *files) join(faults []error) error {
	if f.lenient() || f.check != nil {
		return errors.Join(faults...)
	}
	if unset := f.unset(); len(unset) > 0 {
		faults = nil
		for _, one := range unset {
			faults = append(faults, one)
		}
	}
	return errors.Join(faults...)
}

// lenient reports whether unset variables are empty. Otherwise they are errors.
func (f *files) lenient() bool { return f.node.Config.Interpolation == manifests.Lenient }

// maxUnset is how many places with unset variables are listed.
const maxUnset = 10_000

// unset returns a fault for each place that mentions an unset variable.
func (f *files) unset() []*fault.Error {
	what := "is not set and has no default"
	if f.lenient() {
		what = "is not set: it is treated as empty"
	}
	places := f.unsetPlaces()
	var all []*fault.Error
	for _, name := range slices.Sorted(maps.Keys(places)) {
		hint := fmt.Sprintf("set %s in node.env, or add a default: ${%s:-value}", name, name)
		if strings.HasPrefix(name, tagPrefix) {
			hint = fmt.Sprintf("set TAG (or %s) in node.env", name)
		}
		for _, place := range places[name] {
			if len(all) == maxUnset {
				return append(all, fault.New(fault.Place{File: place.File}, "set these first", "more than %d places mention variables that are not set", maxUnset))
			}
			all = append(all, fault.New(place, hint, "the variable %s %s", name, what))
		}
	}
	return all
}

// unsetPlaces gives the places that mention each unset variable.
func (f *files) unsetPlaces() map[string][]fault.Place {
	places := map[string][]fault.Place{} // one walk for all names: there can be thousands
	for _, s := range f.all {
		missing := s.variables.missing
		if len(missing) == 0 {
			continue
		}
		walkScalars(s.root, func(node *yaml.Node) {
			place := fault.Place{File: s.path, Line: node.Line}
			for _, name := range variablesIn(node.Value) {
				if known := places[name]; missing[name] && (len(known) == 0 || known[len(known)-1] != place) {
					places[name] = append(known, place)
				}
			}
		})
	}
	return places
}

// missing lists the variables that are not set and have no default, sorted.
func (f *files) missing() []string {
	all := map[string]bool{}
	for _, s := range f.all {
		maps.Copy(all, s.variables.missing)
	}
	return slices.Sorted(maps.Keys(all))
}

// mentions lists the lines of the files that mention a variable.
func mentions(sources []*source, name string) []fault.Place {
	var places []fault.Place
	for _, s := range sources {
		walkScalars(s.root, func(node *yaml.Node) {
			place := fault.Place{File: s.path, Line: node.Line}
			if slices.Contains(variablesIn(node.Value), name) && !slices.Contains(places, place) {
				places = append(places, place)
			}
		})
	}
	return places
}

// variablesIn lists the variables in a template, including nested ones, sorted.
func variablesIn(text string) []string {
	if !strings.Contains(text, "$") {
		return nil
	}
	found := extracted(text)
	var nested []string
	for _, variable := range found {
		nested = append(nested, variablesIn(variable.DefaultValue)...)
		nested = append(nested, variablesIn(variable.PresenceValue)...)
	}
	nested = slices.AppendSeq(nested, maps.Keys(found))
	slices.Sort(nested)
	return slices.Compact(nested)
}

// extracted gives the variables of a template by name, without nested ones.
func extracted(text string) map[string]template.Variable {
	return template.ExtractVariables(map[string]any{"": text}, template.DefaultPattern)
}

// scalarAt returns the text of a scalar in a mapping, or "".
func scalarAt(node *yaml.Node, key string) string {
	_, value := lookup(node, key)
	if value = deref(value); value == nil || value.Kind != yaml.ScalarNode {
		return ""
	}
	return value.Value
}
