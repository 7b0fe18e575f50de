package settings

import (
	"strings"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/internal/fault"
)

// FleetAddresses gives the addresses of the other nodes' agents, by node.
func (s *Settings) FleetAddresses() (map[string]string, error) {
	addresses := map[string]string{}
	for _, one := range s.FleetAPIs {
		node, address, found := strings.Cut(one, "=")
		switch {
		case !found || node == "":
			return nil, fault.New(fault.Place{}, "write it as node4=https://node4.example.com:9181", "fleet_apis: %q has no node", one)
		case addresses[node] != "":
			return nil, fault.New(fault.Place{}, "keep one of them", "fleet_apis has two addresses of %s", node)
		}
		if err := control.CheckAddress(address); err != nil {
			return nil, fault.New(fault.Place{}, fault.Hint(err), "fleet_apis: %s: %w", node, err)
		}
		addresses[node] = address
	}
	switch {
	case len(addresses) > 0 && s.FleetTokenFile == "":
		return nil, fault.New(fault.Place{}, "name a file with a token of the scope read that those agents accept", "fleet_apis is set, and fleet_token_file is not")
	case len(addresses) == 0 && s.FleetTokenFile != "":
		return nil, fault.New(fault.Place{}, "set it, or leave out fleet_token_file", "the setting fleet_apis is missing")
	}
	return addresses, nil
}
