package compose

import (
	"cmp"
	"errors"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/docker/cli/cli/compose/convert"
	composetypes "github.com/docker/cli/cli/compose/types"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/internal/fault"
)

// apiVersion is the newest API version that the converter supports. The package deploy
// refuses specs that an older engine does not support.
const apiVersion = "1.51"

// serviceNames matches the service names that Swarm accepts.
var serviceNames = regexp.MustCompile(`^[a-zA-Z0-9](?:[-_]*[A-Za-z0-9]+)*$`)

// convert makes the same engine specs as `docker stack deploy`.
func (r *renderer) convert(merged *composetypes.Config) (*Stack, error) {
	stack := &Stack{
		Name:     r.node.Stack,
		Owner:    r.node.Environment + "/" + r.node.Name,
		Release:  r.variables.values["TAG"],
		Resolve:  Resolve(r.node.Config.Images.Resolve),
		Services: map[string]swarm.ServiceSpec{},
		merged:   merged,
	}
	r.convertNetworks(stack, merged)
	err := errors.Join(
		r.convertSecrets(stack, merged.Secrets),
		r.convertConfigs(stack, merged.Configs),
		r.convertServices(stack, merged),
		r.checkAgentLabels(merged),
	)
	r.setWaves(stack)
	return stack, err
}

func (r *renderer) convertNetworks(stack *Stack, merged *composetypes.Config) {
	used := map[string]struct{}{}
	for _, service := range merged.Services {
		if len(service.Networks) == 0 {
			used["default"] = struct{}{}
		}
		for name := range service.Networks {
			used[name] = struct{}{}
		}
	}
	networks, external := convert.Networks(r.namespace, cloneNetworks(merged.Networks), used)
	for name, options := range networks {
		if options.Driver == "" {
			options.Driver = "overlay"
		}
		options.Labels[LabelOwner] = stack.Owner
		networks[name] = options
	}
	slices.Sort(external)
	stack.Networks, stack.ExternalNetworks = networks, slices.Compact(external)
}

// cloneNetworks prevents the converter from adding labels to the merged file.
func cloneNetworks(networks map[string]composetypes.NetworkConfig) map[string]composetypes.NetworkConfig {
	clones := maps.Clone(networks)
	for name, network := range clones {
		network.Labels = maps.Clone(network.Labels)
		clones[name] = network
	}
	return clones
}

func (r *renderer) convertServices(stack *Stack, merged *composetypes.Config) error {
	var faults []error
	for _, service := range merged.Services {
		spec, err := r.convertService(service, merged)
		if err != nil {
			message, hint := advise(plainMessage(err))
			if own := fault.Hint(err); own != "" {
				hint = own
			}
			faults = append(faults, fault.New(r.placeOf("services", service.Name), hint, "service %s: %s", service.Name, message))
			continue
		}
		spec.Labels[LabelOwner] = stack.Owner
		stack.Services[spec.Name] = spec
	}
	return errors.Join(faults...)
}

func (r *renderer) convertService(service composetypes.ServiceConfig, merged *composetypes.Config) (swarm.ServiceSpec, error) {
	if name := r.namespace.Scope(service.Name); len(name) > 63 || !serviceNames.MatchString(name) {
		return swarm.ServiceSpec{}, fault.New(fault.Place{}, "use letters, digits, '-' and '_', at most 63 with the stack's name", "Swarm does not accept the service name %q", name)
	}
	if service.Image == "" {
		return swarm.ServiceSpec{}, fault.New(fault.Place{}, "add image", "image is missing")
	}
	image, err := wireImage(service.Image)
	if err != nil {
		return swarm.ServiceSpec{}, fault.New(fault.Place{}, "check the variables in it", "%q is not a valid image reference: %w", service.Image, err)
	}
	secrets, err := r.secretReferences(service.Secrets, merged.Secrets)
	if err != nil {
		return swarm.ServiceSpec{}, err
	}
	configs, err := r.configReferences(service, merged.Configs)
	if err != nil {
		return swarm.ServiceSpec{}, err
	}
	service.Labels = maps.Clone(service.Labels)
	service.Deploy.Labels = maps.Clone(service.Deploy.Labels)
	var spec swarm.ServiceSpec
	err = guard(func() error {
		spec, err = convert.Service(apiVersion, r.namespace, service, merged.Networks, merged.Volumes, secrets, configs)
		return err
	})
	if err != nil {
		return swarm.ServiceSpec{}, err
	}
	spec.TaskTemplate.ContainerSpec.Image = image
	r.warnRestart(service)
	r.extras[service.Name].complete(&spec)
	return spec, nil
}

func (r *renderer) secretReferences(uses []composetypes.ServiceSecretConfig, defined map[string]composetypes.SecretConfig) ([]*swarm.SecretReference, error) {
	references := []*swarm.SecretReference{}
	targets := map[string]bool{}
	for _, use := range uses {
		secret, ok := defined[use.Source]
		target, err := fileTarget("secret", composetypes.FileReferenceConfig(use), ok, targets)
		if err != nil {
			return nil, err
		}
		references = append(references, &swarm.SecretReference{File: &target, SecretName: r.objectName(use.Source, secret.Name)})
	}
	slices.SortStableFunc(references, func(a, b *swarm.SecretReference) int {
		return strings.Compare(a.SecretName+"\x00"+a.File.Name, b.SecretName+"\x00"+b.File.Name)
	})
	return references, nil
}

func (r *renderer) configReferences(service composetypes.ServiceConfig, defined map[string]composetypes.ConfigObjConfig) ([]*swarm.ConfigReference, error) {
	references := []*swarm.ConfigReference{}
	targets := map[string]bool{}
	for _, use := range service.Configs {
		config, ok := defined[use.Source]
		target, err := fileTarget("config", composetypes.FileReferenceConfig(use), ok, targets)
		if err != nil {
			return nil, err
		}
		file := swarm.ConfigReferenceFileTarget(target)
		references = append(references, &swarm.ConfigReference{File: &file, ConfigName: r.objectName(use.Source, config.Name)})
	}
	if key := service.CredentialSpec.Config; key != "" {
		config, ok := defined[key]
		if !ok {
			return nil, fault.New(fault.Place{}, "define it under the top-level configs", "the config %q of credential_spec is not defined", key)
		}
		references = append(references, &swarm.ConfigReference{
			ConfigName: r.objectName(key, config.Name),
			Runtime:    &swarm.ConfigReferenceRuntimeTarget{},
		})
	}
	slices.SortStableFunc(references, func(a, b *swarm.ConfigReference) int {
		return strings.Compare(a.ConfigName+"\x00"+configTarget(a), b.ConfigName+"\x00"+configTarget(b))
	})
	return references, nil
}

// configTarget sorts configs without a file last, as the docker CLI does.
func configTarget(reference *swarm.ConfigReference) string {
	if reference.File == nil {
		return "\U0010FFFF"
	}
	return reference.File.Name
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

// objectName returns a secret's or config's name in the engine.
func (r *renderer) objectName(key, name string) string {
	return cmp.Or(name, r.namespace.Scope(key))
}

// placeOf returns the place of the keys in the last file that sets them, which
// overrides the others.
func (r *renderer) placeOf(keys ...string) fault.Place {
	for _, s := range slices.Backward(r.sources) {
		if place, depth := s.find(keys); depth == len(keys) {
			return place
		}
	}
	return fault.Place{File: r.node.Dir}
}
