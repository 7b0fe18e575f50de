package compose

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/internal/fault"
)

// Claim is something of the engine that only one stack can have: an object that the stack
// makes, or a published port.
type Claim struct {
	Kind  string // network, volume, secret, config, service or port
	Name  string // in the engine; of a port such as 443/tcp
	Place fault.Place
}

// Claims lists what the stack claims, sorted. External objects are not claimed.
func (s *Stack) Claims() []Claim {
	var all []Claim
	add := func(kind, name string, keys ...string) {
		all = append(all, Claim{Kind: kind, Name: name, Place: s.Place(keys...)})
	}
	for name := range s.Networks {
		add("network", name, "networks", cmp.Or(s.Key("networks", name), name))
	}
	for _, secret := range s.Secrets {
		add("secret", secret.Spec.Name, "secrets", secret.Key)
	}
	for _, config := range s.Configs {
		add("config", config.Spec.Name, "configs", config.Key)
	}
	if s.merged != nil {
		for key, volume := range s.merged.Volumes {
			if !volume.External.External {
				add("volume", cmp.Or(volume.Name, s.Name+"_"+key), "volumes", key)
			}
		}
	}
	for name, spec := range s.Services {
		short := strings.TrimPrefix(name, s.Name+"_")
		add("service", name, "services", short)
		if spec.EndpointSpec != nil {
			for _, port := range spec.EndpointSpec.Ports {
				all = append(all, s.claimPort(short, port)...)
			}
		}
	}
	slices.SortFunc(all, func(a, b Claim) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name), comparePlaces(a.Place, b.Place))
	})
	return all
}

// claimPort gives the claim of a published port, unless the engine chooses it.
func (s *Stack) claimPort(service string, port swarm.PortConfig) []Claim {
	if port.PublishedPort == 0 {
		return nil
	}
	place := s.ItemPlace([]string{fmt.Sprint(port.PublishedPort)}, "services", service, "ports")
	return []Claim{{Kind: "port", Name: fmt.Sprintf("%d/%s", port.PublishedPort, cmp.Or(port.Protocol, swarm.PortConfigProtocolTCP)), Place: place}}
}

// Claimant is a stack with what it claims.
type Claimant struct {
	Stack  string // as named in messages, such as: stack system
	Claims []Claim
}

// Disputes finds what several stacks of one engine claim. It gives, for each of the stacks, a
// fault for each claim that an earlier one has: at its place, with the place of the other.
func Disputes(stacks []Claimant) [][]*fault.Error {
	type claimed struct {
		by    int
		place fault.Place
	}
	first := map[[2]string]claimed{}
	found := make([][]*fault.Error, len(stacks))
	for i, stack := range stacks {
		for _, one := range stack.Claims {
			what := [2]string{one.Kind, one.Name}
			before, twice := first[what]
			switch {
			case !twice:
				first[what] = claimed{i, one.Place}
			case before.by != i:
				found[i] = append(found[i], fault.New(one.Place, disputeHint(one.Kind),
					"%s %s is claimed by %s, and by %s at %s", one.Kind, one.Name, stack.Stack, stacks[before.by].Stack, before.place))
			}
		}
	}
	return found
}

func disputeHint(kind string) string {
	switch kind {
	case "port":
		return "publish another port, or publish it in one of the two stacks"
	case "service":
		return "rename one of the services, or one of the stacks"
	}
	return "define it in one of the stacks, and write external: true in the other; or rename one"
}
