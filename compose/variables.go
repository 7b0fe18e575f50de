package compose

import (
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
)

// variables holds the values of $NAME in a compose file: from node.env, the SV_
// overrides, and the env_file of the include. An empty TAG_ or SV_ variable counts as
// unset. Their defaults are in defaults.go, the versions of secrets in versions.go.
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

// unsetIn lists the unset variables that a text needs, sorted.
func (v *variables) unsetIn(text string) []string {
	if !slices.ContainsFunc(variablesIn(text), func(name string) bool { return v.missing[name] }) {
		return nil
	}
	probe := v.inner(nil)
	_, _ = probe.substitute(text, v.lookup) // a malformed text is refused elsewhere
	return slices.Sorted(maps.Keys(probe.missing))
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
