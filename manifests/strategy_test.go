package manifests_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

// rolled returns a config.yml with four nodes that have these roles, p for primary and
// s for secondary, and with lines of deployment.
func rolled(roles string, lines ...string) string {
	names := map[rune]string{'p': "role: primary, ", 's': "role: secondary, ", '-': ""}
	config := "environment: {name: sandbox, type: non-production}\nnodes:\n"
	for i, role := range roles {
		node := string(rune('1' + i))
		config += "  - {name: node" + node + ", " + names[role] + "context: c" + node + ", stack: s}\n"
	}
	return config + "deployment:\n  " + strings.Join(lines, "\n  ") + "\n"
}

func TestWhoComesBefore(t *testing.T) {
	nodes := []string{"node1", "node2", "node3", "node4"}
	tests := map[string]struct {
		lines  string
		before []string // of node1 to node4
		greens string
		awaits string // that another node waits for
	}{
		"sequential": {"strategy: sequential", []string{"", "node1", "node1 node2", "node1 node2 node3"}, "", "node1 node2 node3"},
		"by default": {"log_level: info", []string{"", "node1", "node1 node2", "node1 node2 node3"}, "", "node1 node2 node3"},
		"in another order": {
			"order: [node4, node2, node1, node3]",
			[]string{"node4 node2", "node4", "node4 node2 node1", ""},
			"", "node1 node2 node4",
		},
		"parallel":   {"strategy: parallel", []string{"", "", "", ""}, "", ""},
		"replace":    {"strategy: replace", []string{"", "", "", ""}, "", ""},
		"blue-green": {"strategy: blue-green", []string{"node2 node4", "", "node2 node4 node1", ""}, "node2 node4", "node1 node2 node3 node4"},
		"blue-green in another order": {
			"strategy: blue-green\n  order: [node4, node3, node2, node1]",
			[]string{"node4 node2 node3", "", "node4 node2", ""},
			"node4 node2", "node1 node2 node3 node4",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config, err := loadConfig("sandbox", rolled("psps", test.lines))
			if err != nil {
				t.Fatal(err)
			}
			var before []string
			for _, node := range nodes {
				before = append(before, strings.Join(config.Before(node), " "))
			}
			awaits := slices.DeleteFunc(slices.Clone(nodes), func(node string) bool { return !config.Awaits(node) })
			if got := strings.Join(awaits, " "); got != test.awaits {
				t.Errorf("others wait for %q, want %q", got, test.awaits)
			}
			if diff := cmp.Diff(test.before, before); diff != "" {
				t.Errorf("before (-want +got):\n%s", diff)
			}
			if greens := strings.Join(config.Greens(), " "); greens != test.greens {
				t.Errorf("greens are %q, want %q", greens, test.greens)
			}
			if before := config.Before("node9"); before != nil {
				t.Errorf("an unknown node has earlier nodes: %v", before)
			}
		})
	}
}

func TestStrategySettings(t *testing.T) {
	config, err := loadConfig("sandbox", rolled("ps", "strategy: blue-green", "order_timeout: 10m", "blue_green: {soak: 5m, approval: true}"))
	if err != nil {
		t.Fatal(err)
	}
	want := manifests.BlueGreenRules{Soak: 5 * time.Minute, Approval: true}
	if config.Deployment.OrderTimeout != 10*time.Minute || config.Deployment.BlueGreen != want {
		t.Errorf("got %s and %+v", config.Deployment.OrderTimeout, config.Deployment.BlueGreen)
	}
	if config, err = loadConfig("sandbox", plainConfig); err != nil || config.Deployment.OrderTimeout != time.Hour {
		t.Errorf("without the key: %s, %v", config.Deployment.OrderTimeout, err)
	}
}

func TestStrategyFaults(t *testing.T) {
	tests := map[string]struct{ config, want string }{
		"no secondary": {rolled("pp", "strategy: blue-green"), `config.yml:6:13: deployment.strategy is blue-green, but no node has the role secondary|set role: secondary`},
		"no primary":   {rolled("ss", "strategy: blue-green"), `config.yml:6:13: deployment.strategy is blue-green, but no node has the role primary|set role: primary`},
		"no role":      {rolled("ps-", "strategy: blue-green"), `config.yml:5:5: node "node3" has no role, but deployment.strategy is blue-green|add role: primary, or role: secondary`},
		"other strategy": {
			rolled("ps", "strategy: parallel", "blue_green: {soak: 5m}"),
			`config.yml:7:15: deployment.blue_green is set, but deployment.strategy is parallel|write strategy: blue-green, or remove blue_green`,
		},
		"no time":   {rolled("ps", "order_timeout: 0s"), `config.yml:6:18: deployment.order_timeout: want a duration such as 300s, got "0s"|write`},
		"soak of 0": {rolled("ps", "strategy: blue-green", "blue_green: {soak: 0s}"), `deployment.blue_green.soak: want a duration such as 300s|write`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := loadConfig("sandbox", test.config)
			text, hint, _ := strings.Cut(test.want, "|")
			if found := fault.All(err); len(found) != 1 || !strings.Contains(found[0].Error(), text) || !strings.HasPrefix(fault.Hint(found[0]), hint) {
				t.Errorf("got %v (%s), want %s", err, fault.Hint(err), test.want)
			}
		})
	}
}
