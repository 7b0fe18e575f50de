package compose

import (
	"cmp"
	"errors"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/docker/cli/cli/compose/convert"
	composetypes "github.com/docker/cli/cli/compose/types"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// apiVersion is the newest API version that the converter supports. The package deploy
// refuses specs that an older engine does not support.
const apiVersion = "1.51"

// serviceNames matches the service names that Swarm accepts.
var serviceNames = regexp.MustCompile(`^[a-zA-Z0-9](?:[-_]*[A-Za-z0-9]+)*$`)

// converter makes the engine specs of the merged file.
type converter struct {
	files     *files
	extras    extras
	warnings  *warnings
	merged    *composetypes.Config
	set       *secrets.Set
	allowLive bool
	namespace convert.Namespace
}

// convert makes the same engine specs as `docker stack deploy`.
func (c *converter) convert(release string) (*Stack, error) {
	stack := &Stack{
		Name:     c.files.node.Stack,
		Owner:    ownerOf(c.files.node),
		Release:  release,
		Resolve:  Resolve(c.files.node.Config.Images.Resolve),
		Services: map[string]swarm.ServiceSpec{},
		merged:   c.merged,
		files:    c.files,

		WarnMissing: c.files.node.Config.Images.Missing == manifests.MissingWarn,
	}
	faults := []error{c.convertSecrets(stack), c.convertConfigs(stack), c.files.checkAgentLabels(c.merged)}
	if c.files.check.whole() {
		c.convertNetworks(stack)
		faults = append(faults, c.convertServices(stack))
		c.setRules(stack)
	}
	return stack, errors.Join(faults...)
}

func (c *converter) convertNetworks(stack *Stack) {
	used := map[string]struct{}{}
	for _, service := range c.merged.Services {
		if len(service.Networks) == 0 {
			used["default"] = struct{}{}
		}
		for name := range service.Networks {
			used[name] = struct{}{}
		}
	}
	defined := maps.Clone(c.merged.Networks)
	for name, network := range defined {
		network.Labels = maps.Clone(network.Labels) // the converter adds labels
		defined[name] = network
	}
	networks, external := convert.Networks(c.namespace, defined, used)
	for name, options := range networks {
		options.Driver = cmp.Or(options.Driver, "overlay")
		stack.own(options.Labels)
		networks[name] = options
	}
	slices.Sort(external)
	stack.Networks, stack.ExternalNetworks = networks, slices.Compact(external)
}

func (c *converter) convertServices(stack *Stack) error {
	var faults []error
	for _, service := range c.merged.Services {
		spec, err := c.convertService(service)
		if err != nil {
			message, hint := advise(plainMessage(err))
			place := c.files.placeOf("services", service.Name)
			faults = append(faults, fault.New(place, cmp.Or(fault.Hint(err), hint), "service %s: %s", service.Name, message))
			if c.files.check != nil {
				stack.Services[c.namespace.Scope(service.Name)] = swarm.ServiceSpec{}
			}
			continue
		}
		stack.own(spec.Labels)
		stack.Services[spec.Name] = spec
	}
	return errors.Join(faults...)
}

func (c *converter) convertService(service composetypes.ServiceConfig) (swarm.ServiceSpec, error) {
	if name := c.namespace.Scope(service.Name); len(name) > 63 || !serviceNames.MatchString(name) {
		return swarm.ServiceSpec{}, fault.New(fault.Place{}, "use letters, digits, '-' and '_', at most 63 with the stack's name", "Swarm does not accept the service name %q", name)
	}
	if service.Image == "" {
		return swarm.ServiceSpec{}, fault.New(fault.Place{}, "add image", "image is missing")
	}
	image, err := wireImage(service.Image)
	if err != nil {
		return swarm.ServiceSpec{}, fault.New(fault.Place{}, "check the variables in it", "%q is not a valid image reference: %w", service.Image, err)
	}
	secretRefs, err := c.secretReferences(service.Secrets)
	if err != nil {
		return swarm.ServiceSpec{}, err
	}
	configRefs, err := c.configReferences(service)
	if err != nil {
		return swarm.ServiceSpec{}, err
	}
	service.Labels = maps.Clone(service.Labels)
	service.Deploy.Labels = maps.Clone(service.Deploy.Labels)
	var spec swarm.ServiceSpec
	err = guard(func() error {
		spec, err = convert.Service(apiVersion, c.namespace, service, c.merged.Networks, c.merged.Volumes, secretRefs, configRefs)
		return err
	})
	if err != nil {
		return swarm.ServiceSpec{}, err
	}
	if err := distinctTargets(spec.TaskTemplate.ContainerSpec.Mounts); err != nil {
		return swarm.ServiceSpec{}, err
	}
	spec.TaskTemplate.ContainerSpec.Image = image
	c.warnRestart(service)
	c.extras.of(service.Name).complete(&spec)
	return spec, nil
}

// distinctTargets refuses mounts of several files whose targets differ only in their
// form. The engine would accept the service and fail its tasks.
func distinctTargets(mounts []mount.Mount) error {
	written := map[string]string{}
	for _, one := range mounts {
		if other, twice := written[path.Clean(one.Target)]; twice {
			return fault.New(fault.Place{}, "write the target in the same form in all files", "two mounts have one target, written as %s and %s", other, one.Target)
		}
		written[path.Clean(one.Target)] = one.Target
	}
	return nil
}

func (c *converter) secretReferences(uses []composetypes.ServiceSecretConfig) ([]*swarm.SecretReference, error) {
	references := []*swarm.SecretReference{}
	targets := map[string]bool{}
	for _, use := range uses {
		secret, ok := c.merged.Secrets[use.Source]
		target, err := fileTarget("secret", composetypes.FileReferenceConfig(use), ok, targets)
		if err != nil {
			return nil, err
		}
		references = append(references, &swarm.SecretReference{File: &target, SecretName: c.objectName(use.Source, secret.Name)})
	}
	slices.SortStableFunc(references, func(a, b *swarm.SecretReference) int {
		return strings.Compare(a.SecretName+"\x00"+a.File.Name, b.SecretName+"\x00"+b.File.Name)
	})
	return references, nil
}

func (c *converter) configReferences(service composetypes.ServiceConfig) ([]*swarm.ConfigReference, error) {
	references := []*swarm.ConfigReference{}
	targets := map[string]bool{}
	for _, use := range service.Configs {
		config, ok := c.merged.Configs[use.Source]
		target, err := fileTarget("config", composetypes.FileReferenceConfig(use), ok, targets)
		if err != nil {
			return nil, err
		}
		file := swarm.ConfigReferenceFileTarget(target)
		references = append(references, &swarm.ConfigReference{File: &file, ConfigName: c.objectName(use.Source, config.Name)})
	}
	slices.SortStableFunc(references, func(a, b *swarm.ConfigReference) int {
		return strings.Compare(a.ConfigName+"\x00"+a.File.Name, b.ConfigName+"\x00"+b.File.Name)
	})
	if key := service.CredentialSpec.Config; key != "" {
		config, ok := c.merged.Configs[key]
		if !ok {
			return nil, fault.New(fault.Place{}, "define it under the top-level configs", "the config %q of credential_spec is not defined", key)
		}
		references = append(references, &swarm.ConfigReference{
			ConfigName: c.objectName(key, config.Name),
			Runtime:    &swarm.ConfigReferenceRuntimeTarget{},
		})
	}
	// A config without a file is after the others with its name, as in the docker CLI.
	slices.SortStableFunc(references, func(a, b *swarm.ConfigReference) int {
		return strings.Compare(a.ConfigName, b.ConfigName)
	})
	return references, nil
}

// fileTarget returns the target of a secret or config with the defaults of the docker
// CLI. It refuses an undefined source, and a target that is already in targets.
func fileTarget(kind string, use composetypes.FileReferenceConfig, defined bool, targets map[string]bool) (swarm.SecretReferenceFileTarget, error) {
	target := swarm.SecretReferenceFileTarget{
		Name: cmp.Or(use.Target, use.Source), UID: cmp.Or(use.UID, "0"), GID: cmp.Or(use.GID, "0"), Mode: 0o444,
	}
	if use.Mode != nil {
		target.Mode = os.FileMode(*use.Mode)
	}
	if !defined {
		return target, fault.New(fault.Place{}, "define it under the top-level "+kind+"s", "the %s %q is not defined", kind, use.Source)
	}
	if targets[target.Name] {
		return target, fault.New(fault.Place{}, "change one of the targets", "two %ss have the target %q", kind, target.Name)
	}
	targets[target.Name] = true
	return target, nil
}

// setRules sets the waves and the ignored fields of the services from config.yml. It warns
// of entries that match no service, unless they may be for another node.
func (c *converter) setRules(stack *Stack) {
	config := c.files.node.Config
	for _, entry := range config.DriftIgnore {
		name := stack.Name + "_" + entry.Service
		if _, has := stack.Services[name]; !has {
			continue
		}
		if stack.Ignored == nil {
			stack.Ignored = map[string][]Ignored{}
		}
		for _, field := range entry.Fields {
			stack.Ignored[name] = append(stack.Ignored[name], Ignored{Field: field, Until: entry.Until, Reason: entry.Reason})
		}
	}
	if c.files.node.Alone() {
		*c.warnings = append(*c.warnings, config.Idle(stack.Short())...)
	}
	if len(config.Deployment.Waves) == 0 {
		return
	}
	stack.Waves = map[string]int{}
	for name := range stack.Services {
		if wave := config.Wave(strings.TrimPrefix(name, stack.Name+"_")); wave > 0 {
			stack.Waves[name] = wave
		}
	}
}
