package policy

import (
	"slices"
	"strings"

	"github.com/docker/docker/api/types/mount"
	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/hostpath"
	"coin.internal/coin-agent/internal/lazyregexp"
)

// External are the objects that a stack may use and does not own, by their names in the
// engine. Nil patterns are not set.
type External struct {
	Networks Patterns `json:"networks,omitzero" yaml:"networks,omitempty"`
	Secrets  Patterns `json:"secrets,omitzero" yaml:"secrets,omitempty"`
	Configs  Patterns `json:"configs,omitzero" yaml:"configs,omitempty"`
	Volumes  Patterns `json:"volumes,omitzero" yaml:"volumes,omitempty"`
	// Aliases are the names that services may have on networks that are not the stack's own,
	// also their own names: who has the name of another service receives what is sent to it.
	Aliases Patterns `json:"aliases,omitzero" yaml:"aliases,omitempty"`
}

// IsZero reports whether none of them is set.
func (e External) IsZero() bool {
	return e.Networks == nil && e.Secrets == nil && e.Configs == nil && e.Volumes == nil && e.Aliases == nil
}

func readExternal(p *Policy, file string, value *yaml.Node) error {
	known := map[string]func(*yaml.Node) error{"aliases": patternsInto(file, "external.aliases", &p.External.Aliases)}
	for key, into := range p.External.objects() {
		known[key] = patternsInto(file, "external."+key, into)
	}
	return eachKnown(file, "external", value, known)
}

// objects gives the rules about objects of the engine, by their sections of a compose file.
func (e *External) objects() map[string]*Patterns {
	return map[string]*Patterns{"networks": &e.Networks, "secrets": &e.Secrets, "configs": &e.Configs, "volumes": &e.Volumes}
}

// foreign is an object that the stack uses and does not own.
type foreign struct {
	section, name string
	service       string
	place         fault.Place
}

// foreigners lists the objects that the stack uses and does not own, each once.
func (j *judgement) foreigners() []foreign {
	var all []foreign
	for _, one := range slices.Concat(j.foreignNetworks(), j.foreignVolumes(), j.foreignSecrets(), j.foreignConfigs()) {
		if key := j.of.Stack.Key(one.section, one.name); key != "" {
			one.place = j.of.Stack.Place(one.section, key)
		}
		if !slices.ContainsFunc(all, func(f foreign) bool { return f.section == one.section && f.name == one.name }) {
			all = append(all, one)
		}
	}
	return all
}

func (j *judgement) foreignNetworks() (all []foreign) {
	for _, service := range j.services {
		for _, name := range networksOf(service) {
			if _, own := j.of.Stack.Networks[name]; !own && name != hostNetwork {
				all = append(all, foreign{"networks", name, service.name, j.item([]string{name}, service.name, "networks")})
			}
		}
	}
	for _, name := range j.of.Stack.ExternalNetworks {
		if name != hostNetwork {
			all = append(all, foreign{"networks", name, "", fault.Place{}})
		}
	}
	return all
}

// alias is a name that a service has on a network that is not the stack's own.
type alias struct{ name, network, service string }

func (j *judgement) aliases() (all []alias) {
	for _, service := range j.services {
		for _, part := range slices.Concat(service.spec.TaskTemplate.Networks, service.spec.Networks) { //nolint:staticcheck // old specs have the second
			if _, own := j.of.Stack.Networks[part.Target]; own || part.Target == hostNetwork {
				continue
			}
			for _, name := range sorted(part.Aliases) {
				all = append(all, alias{name, part.Target, service.name})
			}
		}
	}
	return all
}

// judgeAliases refuses names on networks of others that the rule does not list.
func judgeAliases(j *judgement) {
	rule := j.policy.External.Aliases
	for _, one := range j.aliases() {
		if j.policy.dangerous(rule != nil) && !rule.Match(one.name) {
			at := j.place(one.service, "networks", j.of.Stack.Key("networks", one.network), "aliases")
			j.refuse("external.aliases", one.service, at, allow("leave the network, or take another name on it", "external.aliases", one.name),
				"has the name %s on the network %s, which is not the stack's own", one.name, one.network)
		}
	}
}

func (j *judgement) foreignVolumes() (all []foreign) {
	for _, service := range j.services {
		for _, one := range service.container.Mounts {
			own := one.Source == "" || strings.HasPrefix(one.Source, j.of.Stack.Name+"_") &&
				one.VolumeOptions != nil && one.VolumeOptions.Labels[compose.LabelStack] == j.of.Stack.Name
			if one.Type == mount.TypeVolume && !own || one.Type == mount.TypeCluster {
				all = append(all, foreign{"volumes", one.Source, service.name, j.item([]string{one.Target}, service.name, "volumes")})
			}
		}
	}
	return all
}

// foreignSecrets also lists the secrets without a value in the repository: Swarm must have
// them, so another process made them.
func (j *judgement) foreignSecrets() (all []foreign) {
	for _, name := range j.of.Stack.ExternalSecrets {
		all = append(all, foreign{"secrets", name, j.userOf("secrets", name), fault.Place{}})
	}
	for _, one := range j.of.Stack.Secrets {
		if name := one.Spec.Name; one.Missing != nil {
			all = append(all, foreign{"secrets", name, j.userOf("secrets", name), one.Missing.Place})
		}
	}
	return all
}

func (j *judgement) foreignConfigs() (all []foreign) {
	for _, name := range j.of.Stack.ExternalConfigs {
		all = append(all, foreign{"configs", name, j.userOf("configs", name), fault.Place{}})
	}
	return all
}

// userOf gives the first service that has a secret or config; "" for none.
func (j *judgement) userOf(section, name string) string {
	for _, service := range j.services {
		var names []string
		for _, one := range service.container.Secrets {
			if section == "secrets" {
				names = append(names, one.SecretName)
			}
		}
		for _, one := range service.container.Configs {
			if section == "configs" {
				names = append(names, one.ConfigName)
			}
		}
		if slices.Contains(names, name) {
			return service.name
		}
	}
	return ""
}

// engineID matches what may be the ID of an object: a name that looks like one must be
// listed as it is, since a pattern cannot know what it stands for.
var engineID = lazyregexp.New(`^(?:[0-9a-z]{25}|[0-9a-f]{64})$`)

// judgeExternal refuses objects of others that the rule does not list.
func judgeExternal(j *judgement) {
	for _, one := range j.foreigners() {
		rule := *j.policy.External.objects()[one.section]
		allowed := rule.Match(one.name)
		if engineID().MatchString(one.name) || hostpath.Templated(one.name) {
			allowed = slices.Contains(rule, one.name)
		}
		if !j.policy.dangerous(rule != nil) || allowed {
			continue
		}
		kind := strings.TrimSuffix(one.section, "s")
		what := "uses the " + kind + " %s, which is not the stack's own"
		if one.service == "" {
			what = "the " + kind + " %s is not the stack's own"
		}
		j.refuse("external."+one.section, one.service, one.place, allow("remove it", "external."+one.section, one.name), what, one.name)
	}
}

func suggestExternal(p *Policy, j *judgement) {
	for _, one := range j.foreigners() {
		into := p.External.objects()[one.section]
		*into = sorted(append(*into, one.name))
	}
	for _, one := range j.aliases() {
		p.External.Aliases = sorted(append(p.External.Aliases, one.name))
	}
}
