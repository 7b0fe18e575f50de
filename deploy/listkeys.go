package deploy

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"
)

// listKey gives the key of an element of the list at path if the order of the list has no
// meaning, else nil.
func listKey(path string) func(element any) string {
	switch path {
	case "EndpointSpec.Ports":
		return keyOf(portKey)
	case "TaskTemplate.Networks", "Networks":
		return keyOf(func(n swarm.NetworkAttachmentConfig) string { return n.Target })
	case "TaskTemplate.ContainerSpec.Env":
		return keyOf(func(entry string) string { name, _, _ := strings.Cut(entry, "="); return name })
	case "TaskTemplate.ContainerSpec.Mounts":
		return keyOf(func(m mount.Mount) string { return m.Target })
	case "TaskTemplate.ContainerSpec.Secrets":
		return keyOf(secretTarget)
	case "TaskTemplate.ContainerSpec.Configs":
		return keyOf(configTarget)
	case "TaskTemplate.ContainerSpec.Ulimits":
		return keyOf(func(u *container.Ulimit) string { return u.Name })
	case "TaskTemplate.ContainerSpec.Groups",
		"TaskTemplate.ContainerSpec.CapabilityAdd",
		"TaskTemplate.ContainerSpec.CapabilityDrop",
		"TaskTemplate.Placement.Constraints":
		return keyOf(itself)
	case "TaskTemplate.Resources.Reservations.GenericResources":
		return keyOf(genericKey)
	}
	if strings.HasSuffix(path, "].Aliases") {
		return keyOf(itself)
	}
	return nil
}

func keyOf[T any](key func(T) string) func(any) string {
	return func(element any) string { return key(element.(T)) }
}

func itself(s string) string { return s }

func portNumber(p swarm.PortConfig) string {
	return fmt.Sprintf("%d/%s", p.PublishedPort, protocol(p))
}

func portKey(p swarm.PortConfig) string {
	return fmt.Sprintf("%d:%d/%s", p.PublishedPort, p.TargetPort, protocol(p))
}

// protocol gives the protocol of a port, with the engine's default tcp.
func protocol(p swarm.PortConfig) swarm.PortConfigProtocol {
	return cmp.Or(p.Protocol, swarm.PortConfigProtocolTCP)
}

func secretTarget(r *swarm.SecretReference) string {
	if r.File != nil {
		return r.File.Name
	}
	return r.SecretName
}

func configTarget(r *swarm.ConfigReference) string {
	if r.File != nil {
		return r.File.Name
	}
	return "runtime:" + r.ConfigName
}

func platformName(p swarm.Platform) string { return p.OS + "/" + p.Architecture }

func genericKey(r swarm.GenericResource) string {
	switch {
	case r.NamedResourceSpec != nil:
		return r.NamedResourceSpec.Kind + "=" + r.NamedResourceSpec.Value
	case r.DiscreteResourceSpec != nil:
		return r.DiscreteResourceSpec.Kind
	}
	return ""
}
