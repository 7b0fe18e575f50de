package policy

import (
	"slices"

	"coin.internal/coin-agent/internal/fault"
)

// hostNetwork is the network of the node itself.
const hostNetwork = "host"

// networksOf lists the networks of a service by their names in the engine.
func networksOf(service service) []string {
	var names []string
	for _, attachment := range service.spec.TaskTemplate.Networks {
		names = append(names, attachment.Target)
	}
	for _, attachment := range service.spec.Networks { //nolint:staticcheck // old specs have the deprecated field
		names = append(names, attachment.Target)
	}
	return sorted(names)
}

// judgeHostNetwork refuses services in the node's own network.
func judgeHostNetwork(j *judgement) {
	if !j.policy.dangerous(j.policy.HostNetwork != nil) {
		return
	}
	for _, service := range j.services {
		if slices.Contains(networksOf(service), hostNetwork) && !j.policy.HostNetwork.Match(service.name) {
			j.refuse("host_network", service.name, j.hostPlace(service.name), allow("remove it", "host_network", service.name), "uses the node's own network")
		}
	}
}

// hostPlace gives where a service asks for the node's network: network_mode, or networks.
func (j *judgement) hostPlace(service string) (at fault.Place) {
	if at = j.place(service, "network_mode"); at != j.place(service) {
		return at
	}
	key := j.of.Stack.Key("networks", hostNetwork)
	return j.item([]string{key, hostNetwork}, service, "networks")
}

func suggestHostNetwork(p *Policy, j *judgement) {
	for _, service := range j.services {
		if slices.Contains(networksOf(service), hostNetwork) {
			p.HostNetwork = append(p.HostNetwork, service.name)
		}
	}
}
