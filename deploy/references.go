package deploy

import (
	"strings"

	"github.com/docker/docker/api/types/swarm"
)

// object is an object of the engine, by its kind and full name.
type object struct {
	kind Kind
	name string
}

// use is one reference of a service's spec to a secret or config. It has an ID, a name or
// both.
type use struct {
	kind     Kind
	id, name string
	target   string // the place in the container
}

// references lists the secrets and configs to which a spec refers.
func references(spec swarm.ServiceSpec) []use {
	container := containerOf(spec)
	var all []use
	for _, one := range container.Secrets {
		target := ""
		if one.File != nil {
			target = one.File.Name
			if !strings.HasPrefix(target, "/") {
				target = "/run/secrets/" + target
			}
		}
		all = append(all, use{Secret, one.SecretID, one.SecretName, target})
	}
	for _, one := range container.Configs {
		target := ""
		if one.File != nil {
			target = one.File.Name
		}
		all = append(all, use{Config, one.ConfigID, one.ConfigName, target})
	}
	if p := container.Privileges; p != nil && p.CredentialSpec != nil && p.CredentialSpec.Config != "" {
		all = append(all, use{Config, p.CredentialSpec.Config, p.CredentialSpec.Config, "credential_spec"})
	}
	return all
}

// setIDs sets the IDs of the secrets and configs to which a container refers.
func setIDs(container *swarm.ContainerSpec, id func(object) string) {
	for _, one := range container.Secrets {
		one.SecretID = id(object{Secret, one.SecretName})
	}
	for _, one := range container.Configs {
		one.ConfigID = id(object{Config, one.ConfigName})
	}
}

// containerOf gives the container of a spec; an empty one if the spec has none.
func containerOf(spec swarm.ServiceSpec) swarm.ContainerSpec {
	if spec.TaskTemplate.ContainerSpec == nil {
		return swarm.ContainerSpec{}
	}
	return *spec.TaskTemplate.ContainerSpec
}
