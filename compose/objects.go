package compose

import (
	"cmp"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/docker/cli/cli/compose/convert"
	composetypes "github.com/docker/cli/cli/compose/types"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/internal/fault"
)

// objectNames matches the names of secrets and configs that Swarm accepts.
var objectNames = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-_.]{0,62}[a-zA-Z0-9])?$`)

// object is a secret or config that the stack owns.
type object struct {
	key         string // in the compose files
	variable    string // the SV_ variable in its name, or ""
	version     string // its value
	derived     string // the version in place of auto
	annotations swarm.Annotations
	place       fault.Place
	defined     composetypes.FileObjectConfig
}

// objects calls add for each object of a section that the stack owns, and returns the
// names of the external ones, sorted. It refuses two objects with the same name.
func (c *converter) objects(
	stack *Stack, section string, defined map[string]composetypes.FileObjectConfig, add func(object) error,
) (external []string, err error) {
	var faults []error
	var own []object
	for _, key := range slices.Sorted(maps.Keys(defined)) {
		name := c.objectName(key, defined[key].Name)
		if defined[key].External.External {
			external = append(external, name)
			continue
		}
		labels := convert.AddStackLabel(c.namespace, maps.Clone(defined[key].Labels))
		stack.own(labels)
		one := object{
			key: key, place: c.files.placeOf(section, key),
			annotations: swarm.Annotations{Name: name, Labels: labels}, defined: defined[key],
		}
		one.variable, one.version, one.derived = c.files.versionIn(section, key)
		if !objectNames.MatchString(name) {
			faults = append(faults, fault.New(one.place, "use at most 64 letters, digits, '-', '_' and '.', with a letter or digit at both ends",
				"Swarm does not accept the %s name %q", strings.TrimSuffix(section, "s"), name))
		}
		faults = append(faults, add(one))
		own = append(own, one)
	}
	slices.Sort(external)
	slices.SortStableFunc(own, func(a, b object) int { return strings.Compare(a.annotations.Name, b.annotations.Name) })
	for i := 1; i < len(own); i++ {
		if a, b := own[i-1], own[i]; a.annotations.Name == b.annotations.Name {
			faults = append(faults, fault.New(b.place, "use different names",
				"the %s %s and %s have the same name in Swarm: %s", section, a.key, b.key, a.annotations.Name))
		}
	}
	return external, errors.Join(faults...)
}

// fileObjects returns secrets or configs with the type that both have in common.
func fileObjects[T composetypes.SecretConfig | composetypes.ConfigObjConfig](defined map[string]T) map[string]composetypes.FileObjectConfig {
	all := map[string]composetypes.FileObjectConfig{}
	for key, one := range defined {
		all[key] = composetypes.FileObjectConfig(one)
	}
	return all
}

// convertSecrets makes the stack's secrets with their values, sorted by name. Only
// deploy reveals a value.
func (c *converter) convertSecrets(stack *Stack) (err error) {
	stack.ExternalSecrets, err = c.objects(stack, "secrets", fileObjects(c.merged.Secrets), func(one object) error {
		secret := Secret{Key: one.key, Variable: one.variable, Version: one.version, Derived: one.derived, Spec: swarm.SecretSpec{
			Annotations: one.annotations,
			Driver:      driver(one.defined.Driver, one.defined.DriverOpts),
			Templating:  driver(one.defined.TemplateDriver, nil),
		}}
		var err error
		if one.defined.Driver == "" {
			err = c.setValue(&secret, one)
		}
		stack.Secrets = append(stack.Secrets, secret)
		return err
	})
	slices.SortStableFunc(stack.Secrets, func(a, b Secret) int { return strings.Compare(a.Spec.Name, b.Spec.Name) })
	return err
}

// setValue sets the value of a secret. It refuses a secret without a value, unless it
// may exist in Swarm.
func (c *converter) setValue(secret *Secret, one object) error {
	file := strings.TrimPrefix(one.defined.File, "/")
	value, ok := c.set.Lookup(one.key, file)
	secret.Value, secret.File = value, file
	if reference, place, isReference := c.set.Reference(one.key, file); isReference {
		secret.Vault = reference
		if !value.Known() {
			c.warnUnread(one, reference, place)
		}
	}
	if value.EndsInReturn() {
		c.warnings.add(one.place, "write the file with Unix line breaks, and encrypt it again",
			"the value of the secret %q ends with half of a Windows line break (\\r), which services get, too", one.key)
	}
	if ok {
		return nil
	}
	missing := c.set.Missing(one.key, file)
	secret.Missing = fault.New(one.place, missing.Hint, "%s", missing.Message)
	if !c.allowLive {
		return secret.Missing
	}
	c.warnings.add(one.place, missing.Hint, "the secret %q has no value in the repository: Swarm must have %s", one.key, one.annotations.Name)
	return nil
}

func (c *converter) convertConfigs(stack *Stack) (err error) {
	stack.ExternalConfigs, err = c.objects(stack, "configs", fileObjects(c.merged.Configs), func(one object) error {
		data, err := c.configData(one)
		stack.Configs = append(stack.Configs, Config{Key: one.key, Variable: one.variable, Spec: swarm.ConfigSpec{
			Annotations: one.annotations, Data: data, Templating: driver(one.defined.TemplateDriver, nil),
		}})
		return err
	})
	slices.SortStableFunc(stack.Configs, func(a, b Config) int { return strings.Compare(a.Spec.Name, b.Spec.Name) })
	return err
}

func (c *converter) configData(one object) ([]byte, error) {
	if content, ok := one.defined.Extras[inlineContent].(string); ok {
		delete(one.defined.Extras, inlineContent) // which are the merged file's
		return []byte(content), nil
	}
	return c.files.readNamed(one.place, "config "+one.key, strings.TrimPrefix(one.defined.File, "/"))
}

// objectName returns a secret's or config's name in the engine.
func (c *converter) objectName(key, name string) string {
	return cmp.Or(name, c.namespace.Scope(key))
}

func driver(name string, options map[string]string) *swarm.Driver {
	if name == "" {
		return nil
	}
	return &swarm.Driver{Name: name, Options: options}
}

// versionIn returns the SV_ variable in an object's name, and its value there, or "". If that is
// auto, derived is the version in its place.
func (f *files) versionIn(section, key string) (variable, version, derived string) {
	for _, s := range slices.Backward(f.main) {
		_, depth, body := s.find([]string{section, key})
		if depth < 2 {
			continue
		}
		if variable, version := VersionIn(scalarAt(body, "name"), s.variables.lookup); variable != "" {
			if f.auto[variable] {
				return variable, autoVersion, version
			}
			return variable, version, ""
		}
	}
	return "", "", ""
}
