package deploy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/lazyregexp"
)

// flaw is something in a spec for which the managers refuse it.
type flaw struct {
	what, hint string
	keys       []string // of the service, in a compose file
}

// Unacceptable gives all for which the managers would refuse a stack that does not run yet, as far as
// that shows without an engine and without the values of secrets; nil if there is nothing.
func Unacceptable(want *compose.Stack) error {
	all := draft{live: &Live{}}
	for _, name := range keys(want.Services) {
		all.Steps = append(all.Steps, Step{Kind: Service, Name: name, Action: Create})
	}
	return errors.Join(append(wrongSizes(all.live, want), all.unacceptable(want)...)...)
}

// unacceptable refuses what the managers would refuse only when it is written, after other services
// of the plan have changed. The rules are those of swarmkit's controlapi, from 20.10 to 28.5.
func (p *draft) unacceptable(want *compose.Stack) []error {
	var refused []error
	for _, name := range keys(want.Services) {
		if !p.makes(Service, name) {
			continue
		}
		spec := keep(want, name, p.live.Services[name].Spec)
		for _, one := range slices.Concat(jobFlaws(spec), portFlaws(spec), resourceFlaws(spec), taskFlaws(spec)) {
			place := want.Place(append([]string{"services", strings.TrimPrefix(name, want.Name+"_")}, one.keys...)...)
			refused = append(refused, fault.New(place, one.hint, "service %s: %s", name, one.what))
		}
	}
	return append(refused, p.samePorts(want)...)
}

// makes tells whether the plan creates or changes an object.
func (p *draft) makes(kind Kind, name string) bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Kind == kind && s.Name == name && s.Action != Remove })
}

// leastMemory and leastCPUs are the least limits and reservations.
const leastMemory, leastCPUs = 4 << 20, 1e6

func jobFlaws(spec swarm.ServiceSpec) []flaw {
	if isJob(spec.Mode) && spec.UpdateConfig != nil {
		return []flaw{{"a job cannot have update_config", "remove it", []string{"deploy", "update_config"}}}
	}
	return nil
}

// portFlaws finds ports of the routing mesh of a service without a virtual address, and one
// published twice.
func portFlaws(spec swarm.ServiceSpec) (flaws []flaw) {
	if spec.EndpointSpec == nil {
		return nil
	}
	seen := map[string]bool{}
	for _, port := range spec.EndpointSpec.Ports {
		inMesh := port.PublishMode != swarm.PortConfigPublishModeHost
		if spec.EndpointSpec.Mode == swarm.ResolutionModeDNSRR && inMesh {
			flaws = append(flaws, flaw{"endpoint_mode dnsrr cannot have a port in the routing mesh", "publish it with mode: host, or use endpoint_mode: vip", []string{"ports"}})
		}
		if number := portNumber(port); port.PublishedPort != 0 && seen[number] {
			flaws = append(flaws, flaw{"it publishes port " + number + " twice", "publish one of them on another port", []string{"ports"}})
		} else {
			seen[number] = true
		}
	}
	return flaws
}

func resourceFlaws(spec swarm.ServiceSpec) (flaws []flaw) {
	resources := spec.TaskTemplate.Resources
	if resources == nil {
		return nil
	}
	check := func(part string, cpus, memory int64) {
		if cpus != 0 && cpus < leastCPUs {
			flaws = append(flaws, flaw{part + ".cpus is less than 0.001", "write 0.001 or more", []string{"deploy", "resources", part, "cpus"}})
		}
		if memory != 0 && memory < leastMemory {
			flaws = append(flaws, flaw{part + ".memory is less than 4M", "write 4M or more", []string{"deploy", "resources", part, "memory"}})
		}
	}
	if limits := resources.Limits; limits != nil {
		check("limits", limits.NanoCPUs, limits.MemoryBytes)
	}
	if reserved := resources.Reservations; reserved != nil {
		check("reservations", reserved.NanoCPUs, reserved.MemoryBytes)
	}
	return flaws
}

// constraint matches what Swarm accepts as a placement constraint.
var constraint = lazyregexp.New(`^\s*[a-zA-Z_][a-zA-Z0-9\-_.]+\s*[!=]=[a-zA-Z0-9:\-_\s.*()?+\[\]\\^$|/]+$`)

func taskFlaws(spec swarm.ServiceSpec) (flaws []flaw) {
	task := spec.TaskTemplate
	if task.Placement != nil {
		for _, text := range task.Placement.Constraints {
			if !constraint().MatchString(text) {
				flaws = append(flaws, flaw{fmt.Sprintf("%q is not a placement constraint", text), "write it as NAME == VALUE or NAME != VALUE", []string{"deploy", "placement", "constraints"}})
			}
		}
	}
	known := []swarm.RestartPolicyCondition{"", swarm.RestartPolicyConditionAny, swarm.RestartPolicyConditionNone, swarm.RestartPolicyConditionOnFailure}
	if policy := task.RestartPolicy; policy != nil && !slices.Contains(known, policy.Condition) {
		flaws = append(flaws, flaw{fmt.Sprintf("%q is not a condition of restart_policy", policy.Condition), "write none, on-failure or any", []string{"deploy", "restart_policy", "condition"}})
	}
	return flaws
}

// samePorts refuses to make services that publish the port of another one of the stack, unless both do
// so on the hosts.
func (p *draft) samePorts(want *compose.Stack) []error {
	type holder struct {
		name string
		mode swarm.PortConfigPublishMode
	}
	var refused []error
	held := map[string][]holder{}
	for _, name := range keys(want.Services) {
		ports := published(want.Services[name])
		for _, port := range keys(ports) {
			for _, other := range held[port] {
				inMesh := ports[port] == swarm.PortConfigPublishModeIngress || other.mode == swarm.PortConfigPublishModeIngress
				if inMesh && (p.makes(Service, name) || p.makes(Service, other.name)) {
					place := want.Place("services", strings.TrimPrefix(name, want.Name+"_"), "ports")
					refused = append(refused, fault.New(place, "publish one of them on another port", "service %s publishes port %s, and so does %s", name, port, other.name))
				}
			}
			held[port] = append(held[port], holder{name, ports[port]})
		}
	}
	return refused
}
