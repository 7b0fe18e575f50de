package compose

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"

	composetypes "github.com/docker/cli/cli/compose/types"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/internal/fault"
)

// objectNames matches the names of secrets and configs that Swarm accepts.
var objectNames = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-_.]{0,62}[a-zA-Z0-9])?$`)

// convertSecrets makes the stack's secrets with their values, sorted by name. Only
// deploy reveals a value.
func (r *renderer) convertSecrets(stack *Stack, defined map[string]composetypes.SecretConfig) error {
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(defined)) {
		object := composetypes.FileObjectConfig(defined[key])
		name := r.objectName(key, object.Name)
		if object.External.External {
			stack.ExternalSecrets = append(stack.ExternalSecrets, name)
			continue
		}
		place := r.placeOf("secrets", key)
		secret := Secret{Key: key, Variable: r.versionVariable("secrets", key)}
		secret.Spec.Annotations = r.annotations(stack, name, object.Labels)
		secret.Spec.Driver = driver(object.Driver, object.DriverOpts)
		secret.Spec.Templating = driver(object.TemplateDriver, nil)
		faults = append(faults, checkName(place, "secret", name))
		if object.Driver == "" {
			file := strings.TrimPrefix(object.File, "/")
			value, ok := r.set.Lookup(key, file)
			secret.Value = value
			if !ok {
				missing := r.set.Missing(key, file)
				secret.Missing = fault.New(place, missing.Hint, "%s", missing.Message)
				faults = append(faults, r.withoutValue(secret))
			}
		}
		stack.Secrets = append(stack.Secrets, secret)
	}
	slices.SortStableFunc(stack.Secrets, func(a, b Secret) int { return strings.Compare(a.Spec.Name, b.Spec.Name) })
	slices.Sort(stack.ExternalSecrets)
	for i := 1; i < len(stack.Secrets); i++ {
		a, b := stack.Secrets[i-1], stack.Secrets[i]
		faults = append(faults, r.checkApart("secrets", a.Key, a.Spec.Name, b.Key, b.Spec.Name))
	}
	return errors.Join(faults...)
}

// withoutValue refuses a secret without a value, unless it may exist in Swarm.
func (r *renderer) withoutValue(secret Secret) error {
	if !r.options.AllowLive {
		return secret.Missing
	}
	r.warn(secret.Missing.Place, secret.Missing.Hint, "the secret %q has no value in the repository: Swarm must have %s", secret.Key, secret.Spec.Name)
	return nil
}

func (r *renderer) convertConfigs(stack *Stack, defined map[string]composetypes.ConfigObjConfig) error {
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(defined)) {
		object := composetypes.FileObjectConfig(defined[key])
		name := r.objectName(key, object.Name)
		if object.External.External {
			stack.ExternalConfigs = append(stack.ExternalConfigs, name)
			continue
		}
		place := r.placeOf("configs", key)
		data, err := r.configData(place, key, strings.TrimPrefix(object.File, "/"))
		faults = append(faults, err, checkName(place, "config", name))
		stack.Configs = append(stack.Configs, Config{
			Key:      key,
			Variable: r.versionVariable("configs", key),
			Spec: swarm.ConfigSpec{
				Annotations: r.annotations(stack, name, object.Labels),
				Data:        data,
				Templating:  driver(object.TemplateDriver, nil),
			},
		})
	}
	slices.SortStableFunc(stack.Configs, func(a, b Config) int { return strings.Compare(a.Spec.Name, b.Spec.Name) })
	slices.Sort(stack.ExternalConfigs)
	for i := 1; i < len(stack.Configs); i++ {
		a, b := stack.Configs[i-1], stack.Configs[i]
		faults = append(faults, r.checkApart("configs", a.Key, a.Spec.Name, b.Key, b.Spec.Name))
	}
	return errors.Join(faults...)
}

// checkApart refuses two objects of one section with the same name in Swarm.
func (r *renderer) checkApart(section, key, name, otherKey, otherName string) error {
	if name != otherName {
		return nil
	}
	return fault.New(r.placeOf(section, otherKey), "use different names",
		"the %s %s and %s have the same name in Swarm: %s", section, key, otherKey, name)
}

func (r *renderer) configData(place fault.Place, key, file string) ([]byte, error) {
	if content, ok := r.contents[key]; ok {
		return []byte(content), nil
	}
	return r.readNamed(place, "config "+key, file)
}

// readNamed reads a file that a compose file names at place. what names it in errors.
func (r *renderer) readNamed(place fault.Place, what, file string) ([]byte, error) {
	if err := r.notSecret(place, file); err != nil {
		return nil, err
	}
	data, err := fs.ReadFile(r.node.FS, file)
	if err != nil {
		return nil, fault.New(place, cmp.Or(fault.Hint(err), "add the file, or correct its path"), "read %s: %w", what, err)
	}
	return data, nil
}

// notSecret refuses to copy a secret file to a spec, where every user can read it.
func (r *renderer) notSecret(place fault.Place, file string) error {
	if !slices.Contains(r.node.SecretFiles, file) {
		return nil
	}
	return fault.New(place, "define it under the top-level secrets", "%s contains secrets", file)
}

func (r *renderer) annotations(stack *Stack, name string, labels map[string]string) swarm.Annotations {
	all := maps.Clone(labels)
	if all == nil {
		all = map[string]string{}
	}
	all[LabelStack] = stack.Name
	all[LabelOwner] = stack.Owner
	return swarm.Annotations{Name: name, Labels: all}
}

func driver(name string, options map[string]string) *swarm.Driver {
	if name == "" {
		return nil
	}
	return &swarm.Driver{Name: name, Options: options}
}

// versionVariable returns the SV_ variable in an object's name, or "".
func (r *renderer) versionVariable(section, key string) string {
	for _, s := range slices.Backward(r.sources) {
		for _, name := range variablesIn(scalarAt(s.object(section, key), "name")) {
			if strings.HasPrefix(name, versionPrefix) {
				return name
			}
		}
	}
	return ""
}

func checkName(place fault.Place, kind, name string) error {
	if objectNames.MatchString(name) {
		return nil
	}
	return fault.New(place, "use at most 64 letters, digits, '-', '_' and '.', with a letter or digit at both ends",
		"Swarm does not accept the %s name %q", kind, name)
}
