package settings_test

import (
	"maps"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/internal/fault"
)

func TestFleetAddresses(t *testing.T) {
	const token = "/etc/coin-agent/fleet-token"
	for _, test := range []struct{ apis, token, want string }{
		{"", "", ""},
		{"node4=https://node4.example.com:9181 node5=http://localhost:9181", token, ""},
		{"node4=https://node4.example.com:9181", "", "fleet_token_file is not"},
		{"", token, "the setting fleet_apis is missing"},
		{"https://node4.example.com:9181", token, `has no node`},
		{"=https://node4.example.com:9181", token, `has no node`},
		{"node4=https://a.example node4=https://b.example", token, "two addresses of node4"},
		{"node4=http://node4.example.com:9181", token, "node4: the agent's address does not use TLS"},
		{"node4=https://node4.example.com/path", token, `node4: the agent's address "https://node4.example.com/path" is not valid`},
	} {
		s := settings.Default()
		s.Environment, s.Node, s.Repository = "sandbox", "node3", "/srv/coin.git"
		s.FleetAPIs, s.FleetTokenFile = strings.Fields(test.apis), test.token
		err := s.Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || fault.Hint(err) == "") {
			t.Errorf("%q: %v", test.apis, err)
		}
		known, err := s.FleetAddresses()
		if test.want == "" && (err != nil || len(known) != len(s.FleetAPIs)) {
			t.Errorf("%q: %v %v", test.apis, maps.Clone(known), err)
		}
	}
}
