package compose

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/swarm"
)

// Grant is something that lets the containers of a service act on the node or on others.
type Grant struct {
	Service string `json:"service"` // its full name
	What    string `json:"what"`
	Why     string `json:"why"` // what the containers can do by it
	// Kept says that the live service has it already. Grants does not know that.
	Kept bool `json:"kept,omitempty"`
}

// Grants lists what lets containers of the stack act on the node or on others, sorted by
// service.
func Grants(stack *Stack) []Grant {
	var all []Grant
	for _, name := range slices.Sorted(maps.Keys(stack.Services)) {
		found := grants{stack: stack, service: name}
		found.read(stack.Services[name])
		slices.SortFunc(found.list, func(a, b Grant) int {
			return cmp.Or(strings.Compare(a.What, b.What), strings.Compare(a.Why, b.Why))
		})
		all = append(all, slices.Compact(found.list)...)
	}
	return all
}

// grants collects those of one service.
type grants struct {
	stack   *Stack
	service string
	list    []Grant
}

func (g *grants) add(what, why string) {
	g.list = append(g.list, Grant{Service: g.service, What: what, Why: why})
}

func (g *grants) read(spec swarm.ServiceSpec) {
	if runtime := spec.TaskTemplate.Runtime; runtime != "" && runtime != swarm.RuntimeContainer {
		g.add("runtime "+string(runtime), "does not run as a container")
	}
	for _, network := range slices.Concat(spec.TaskTemplate.Networks, spec.Networks) { //nolint:staticcheck // older specs have the second
		g.readNetwork(network)
	}
	g.readLog(spec)
	if resources := spec.TaskTemplate.Resources; resources != nil && resources.Reservations != nil {
		for _, one := range resources.Reservations.GenericResources {
			g.add("generic resource "+resourceKind(one), "uses a device of the node")
		}
	}
	container := spec.TaskTemplate.ContainerSpec
	if container == nil {
		return
	}
	for _, one := range container.Mounts {
		g.readMount(one)
	}
	for _, name := range container.CapabilityAdd {
		g.readCapability(name)
	}
	g.readPrivileges(container.Privileges)
	for _, one := range container.Secrets {
		if slices.Contains(g.stack.ExternalSecrets, one.SecretName) {
			g.add("external secret "+one.SecretName, "reads a secret that the stack does not own")
		}
	}
	for _, one := range container.Configs {
		if slices.Contains(g.stack.ExternalConfigs, one.ConfigName) {
			g.add("external config "+one.ConfigName, "reads a config that the stack does not own")
		}
	}
}

func resourceKind(one swarm.GenericResource) string {
	switch {
	case one.NamedResourceSpec != nil:
		return one.NamedResourceSpec.Kind + "=" + one.NamedResourceSpec.Value
	case one.DiscreteResourceSpec != nil:
		return one.DiscreteResourceSpec.Kind
	}
	return ""
}

const rootOnNode = "can become root on the node"

var (
	// rootCapabilities are those by which a container becomes root on the node.
	rootCapabilities = []string{"ALL", "BPF", "DAC_READ_SEARCH", "SYS_ADMIN", "SYS_BOOT", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO"}
	// usualCapabilities are those that a container has anyway.
	usualCapabilities = []string{
		"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW",
		"SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
	}
)

func (g *grants) readCapability(name string) {
	plain := strings.TrimPrefix(strings.ToUpper(name), "CAP_")
	switch {
	case slices.Contains(rootCapabilities, plain):
		g.add("capability "+plain, rootOnNode)
	case !slices.Contains(usualCapabilities, plain):
		g.add("capability "+plain, "has a right of the kernel that containers do not have by default")
	}
}

func (g *grants) readPrivileges(p *swarm.Privileges) {
	if p == nil {
		return
	}
	if p.Seccomp != nil && p.Seccomp.Mode != "" && p.Seccomp.Mode != swarm.SeccompModeDefault {
		g.add("seccomp "+string(p.Seccomp.Mode), "may call what the engine's profile forbids")
	}
	if p.AppArmor != nil && p.AppArmor.Mode == swarm.AppArmorModeDisabled {
		g.add("apparmor disabled", "no profile limits its access to the node")
	}
	if p.SELinuxContext != nil && p.SELinuxContext.Disable {
		g.add("selinux disabled", "no label limits its access to the node")
	}
	if p.CredentialSpec != nil && *p.CredentialSpec != (swarm.CredentialSpec{}) {
		g.add("credential_spec", "uses a service account of the node")
	}
}
