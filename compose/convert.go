package compose

import (
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

// apiVersion is what the specs are made for: the newest that the converter
// knows. What an older engine lacks is deploy's to refuse.
const apiVersion = "1.51"

// serviceNames is what Swarm takes as the name of a service.
var serviceNames = regexp.MustCompile(`^[a-zA-Z0-9](?:[-_]*[A-Za-z0-9]+)*$`)

// convert makes the engine specs, as `docker stack deploy` makes them.
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

// cloneNetworks keeps the converter's labels out of the merged file.
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
		return swarm.ServiceSpec{}, fault.New(fault.Place{}, "use letters, digits, '-' and '_', at most 63 with the stack's name", "Swarm takes no service of the name %q", name)
	}
	if service.Image == "" {
		return swarm.ServiceSpec{}, fault.New(fault.Place{}, "give it an image", "no image")
	}
	image, err := wireImage(service.Image)
	if err != nil {
		return swarm.ServiceSpec{}, fault.New(fault.Place{}, "check the variables in it", "image %q is no image reference: %w", service.Image, err)
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
		if !ok {
			return nil, fault.New(fault.Place{}, "define it under the top-level secrets", "the secret %q is not defined", use.Source)
		}
		target, uid, gid, mode := referenceTarget(composetypes.FileReferenceConfig(use))
		if targets[target] {
			return nil, fault.New(fault.Place{}, "give one of them another target", "two secrets have the target %q", target)
		}
		targets[target] = true
		references = append(references, &swarm.SecretReference{
			File:       &swarm.SecretReferenceFileTarget{Name: target, UID: uid, GID: gid, Mode: mode},
			SecretName: r.objectName(use.Source, secret.Name),
		})
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
		if !ok {
			return nil, fault.New(fault.Place{}, "define it under the top-level configs", "the config %q is not defined", use.Source)
		}
		target, uid, gid, mode := referenceTarget(composetypes.FileReferenceConfig(use))
		if targets[target] {
			return nil, fault.New(fault.Place{}, "give one of them another target", "two configs have the target %q", target)
		}
		targets[target] = true
		references = append(references, &swarm.ConfigReference{
			File:       &swarm.ConfigReferenceFileTarget{Name: target, UID: uid, GID: gid, Mode: mode},
			ConfigName: r.objectName(use.Source, config.Name),
		})
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

// configTarget puts configs that are no files last, as the docker CLI does.
func configTarget(reference *swarm.ConfigReference) string {
	if reference.File == nil {
		return "\U0010FFFF"
	}
	return reference.File.Name
}

// referenceTarget fills in what the docker CLI fills in: the source as target,
// root as owner, 0444 as mode.
func referenceTarget(use composetypes.FileReferenceConfig) (target, uid, gid string, mode os.FileMode) {
	target, uid, gid, mode = use.Target, use.UID, use.GID, 0o444
	if target == "" {
		target = use.Source
	}
	if uid == "" {
		uid = "0"
	}
	if gid == "" {
		gid = "0"
	}
	if use.Mode != nil {
		mode = os.FileMode(*use.Mode)
	}
	return target, uid, gid, mode
}

// objectName is a secret's or config's name in the engine.
func (r *renderer) objectName(key, name string) string {
	if name != "" {
		return name
	}
	return r.namespace.Scope(key)
}

// placeOf finds the last file that has the keys: the one whose word counts.
func (r *renderer) placeOf(keys ...string) fault.Place {
	for _, s := range slices.Backward(r.sources) {
		if place, depth := s.find(keys); depth == len(keys) {
			return place
		}
	}
	return fault.Place{File: r.node.Dir}
}
