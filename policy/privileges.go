package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/internal/fault"
)

// privilege is an option of a service that loosens its container, as the rule names it.
type privilege struct {
	text  string
	place fault.Place
}

// privilegesOf lists what loosens a service's container, apart from what has a rule of its
// own: kernel parameters, security profiles, devices, shared mounts.
func (j *judgement) privilegesOf(service service) []privilege {
	all := j.mountPrivileges(service)
	add := func(text string, place fault.Place) { all = append(all, privilege{text, place}) }
	for _, name := range slices.Sorted(maps.Keys(service.container.Sysctls)) {
		add("sysctl "+name, j.item([]string{name}, service.name, "sysctls"))
	}
	for _, text := range profiles(service.container.Privileges) {
		add(text, j.place(service.name, "security_opt"))
	}
	if resources := service.spec.TaskTemplate.Resources; resources != nil && resources.Reservations != nil {
		for _, one := range resources.Reservations.GenericResources {
			add("device "+resourceKind(one), j.place(service.name, "deploy", "resources", "reservations", "generic_resources"))
		}
	}
	if runtime := service.spec.TaskTemplate.Runtime; runtime != "" && runtime != swarm.RuntimeContainer {
		add("runtime "+string(runtime), j.place(service.name))
	}
	return all
}

// mountPrivileges lists mounts that reach the node's other mounts, and unusual ones.
func (j *judgement) mountPrivileges(service service) (all []privilege) {
	for _, one := range service.container.Mounts {
		at := j.item([]string{one.Target}, service.name, "volumes")
		if shared := one.BindOptions; shared != nil && strings.HasSuffix(string(shared.Propagation), "shared") {
			all = append(all, privilege{"propagation " + string(shared.Propagation), at})
		}
		if options := strings.Split(localDriver(one)["o"], ","); slices.Contains(options, "shared") || slices.Contains(options, "rshared") {
			all = append(all, privilege{"propagation shared", at})
		}
		if one.Type == mount.TypeImage || one.Type == mount.TypeCluster {
			all = append(all, privilege{"mount " + string(one.Type), at})
		}
	}
	return all
}

func resourceKind(one swarm.GenericResource) string {
	switch {
	case one.NamedResourceSpec != nil:
		return one.NamedResourceSpec.Kind
	case one.DiscreteResourceSpec != nil:
		return one.DiscreteResourceSpec.Kind
	}
	return ""
}

// profiles lists the security profiles that are not the engine's own.
func profiles(of *swarm.Privileges) []string {
	var all []string
	if of == nil {
		return nil
	}
	if of.Seccomp != nil && of.Seccomp.Mode != "" && of.Seccomp.Mode != swarm.SeccompModeDefault {
		all = append(all, "seccomp "+string(of.Seccomp.Mode))
	}
	if of.AppArmor != nil && of.AppArmor.Mode != "" && of.AppArmor.Mode != swarm.AppArmorModeDefault {
		all = append(all, "apparmor "+string(of.AppArmor.Mode))
	}
	if label := of.SELinuxContext; label != nil && *label != (swarm.SELinuxContext{}) {
		all = append(all, "selinux")
	}
	if of.CredentialSpec != nil {
		all = append(all, "credential_spec")
	}
	return all
}

func judgePrivileges(j *judgement) {
	if !j.policy.dangerous(j.policy.Privileges != nil) {
		return
	}
	for _, service := range j.services {
		allowed := j.policy.Privileges.Of(service.name)
		for _, one := range j.privilegesOf(service) {
			if !allowed.Match(one.text) {
				j.refuse("privileges", service.name, one.place, allow("remove it", "privileges."+service.name, `"`+one.text+`"`), "has the privilege %q", one.text)
			}
		}
	}
}

func suggestPrivileges(p *Policy, j *judgement) {
	for _, service := range j.services {
		for _, one := range j.privilegesOf(service) {
			p.Privileges = p.Privileges.add(service.name, one.text)
		}
	}
}
