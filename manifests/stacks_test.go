package manifests_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/manifests"
)

// layered makes a config.yml of node3 whose stacks are listed by lines, indented for their list.
func layered(lines string) string {
	return `environment: {name: sandbox, type: non-production}
nodes:
  - name: node3
    context: c
` + lines
}

func layeredRepository(config string) map[string]string {
	return map[string]string{
		"environments/sandbox/config.yml":         config,
		nodeDir + "system/docker-compose.yml":     "services: {}\n",
		nodeDir + "business/docker-compose.yml":   "services: {}\n",
		nodeDir + "layers/db/docker-compose.yaml": "services: {}\n",
	}
}

func TestStacksOf(t *testing.T) {
	config, err := manifests.LoadConfig(repository(layeredRepository(layered(`    stacks:
      - name: system
      - {name: platform, path: layers/db, files: [docker-compose.yaml]}
      - {name: jobs, path: ., waits_for: []}
      - {name: business, waits_for: [system, platform], prune: true}
  - {name: node4, context: c, stack: app, compose_files: [a.yml]}
`))), "sandbox")
	if err != nil {
		t.Fatal(err)
	}
	want := []manifests.StackConfig{
		{Name: "system", Path: "system"},
		{Name: "platform", Path: "layers/db", Files: []string{"docker-compose.yaml"}, WaitsFor: []string{"system"}},
		{Name: "jobs", Path: "."},
		{Name: "business", Path: "business", WaitsFor: []string{"system", "platform"}, Prune: true},
	}
	if diff := cmp.Diff(want, config.StacksOf("node3")); diff != "" || !config.Layered("node3") {
		t.Errorf("node3 (layered: %t, -want +got):\n%s", config.Layered("node3"), diff)
	}
	want = []manifests.StackConfig{{Name: "app", Path: ".", Files: []string{"a.yml"}}}
	if diff := cmp.Diff(want, config.StacksOf("node4")); diff != "" || config.Layered("node4") {
		t.Errorf("node4 (layered: %t, -want +got):\n%s", config.Layered("node4"), diff)
	}
	if config.StacksOf("node5") != nil || config.Layered("node5") {
		t.Error("a node that is not there has stacks")
	}
}

// TestStackFaults gives the stacks of a node, and the fault that is found in them.
func TestStackFaults(t *testing.T) {
	for name, test := range map[string]struct{ lines, want string }{
		"empty":            {"    stacks: []\n", "config.yml:5:13: nodes[0].stacks is empty"},
		"no name":          {"    stacks:\n      - {path: system}\n", `config.yml:6:9: required key "name" is missing in nodes[0].stacks[0]`},
		"malformed name":   {"    stacks: [{name: a.b}]\n", "config.yml:5:21: nodes[0].stacks[0].name: want a stack name"},
		"twice":            {"    stacks:\n      - name: system\n      - name: system\n", `config.yml:7:15: nodes[0].stacks lists "system" twice, first on line 6`},
		"beside stack":     {"    stack: app\n    stacks: [{name: system}]\n", "config.yml:5:12: nodes[0] has both stacks and stack"},
		"beside files":     {"    compose_files: [a.yml]\n    stacks: [{name: system}]\n", "config.yml:5:20: nodes[0] has both stacks and compose_files"},
		"waits for later":  {"    stacks: [{name: system, waits_for: [business]}, {name: business}]\n", `config.yml:5:41: stack system waits for "business", which is not an earlier stack`},
		"waits for itself": {"    stacks: [{name: system, waits_for: [system]}]\n", `config.yml:5:41: stack system waits for "system"`},
		"waits twice":      {"    stacks: [{name: system}, {name: business, waits_for: [system, system]}]\n", `config.yml:5:67: nodes[0].stacks[1].waits_for lists "system" twice`},
		"outside":          {"    stacks: [{name: system, path: ../node4}]\n", "config.yml:5:35: nodes[0].stacks[0].path: want a folder below the node's folder"},
		"not a plain path": {"    stacks: [{name: system, path: system/}]\n", "config.yml:5:35: nodes[0].stacks[0].path: want a folder below the node's folder"},
		"SOPS files":       {"    stacks: [{name: secrets}]\n", "config.yml:5:14: a folder secrets has SOPS files"},
		"on another node":  {"    stacks: [{name: system}]\n  - {name: node4, context: c, stack: system}\n", `config.yml:6:38: nodes node3 and node4 both have the stack "system" on the context c`},
		"on a later node":  {"    stack: system\n  - {name: node4, context: c, stacks: [{name: system}]}\n", `config.yml:6:47: nodes node3 and node4 both have the stack "system" on the context c`},
		"no folder":        {"    stacks: [{name: sstem}]\n", "environments/sandbox/nodes/node3/sstem: the stack's folder is missing"},
		"no compose file":  {"    stacks: [{name: db, path: layers/db}]\n", "environments/sandbox/nodes/node3/layers/db/docker-compose.yml: the stack's compose file is missing"},
		"no such file":     {"    stacks: [{name: system, files: [docker-compse.yml]}]\n", "config.yml:5:37: environments/sandbox/nodes/node3/system/docker-compse.yml is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := manifests.Load(repository(layeredRepository(layered(test.lines))), "sandbox", "node3")
			wantFault(t, err, test.want)
		})
	}
}

// TestStackNames loads stacks by their names.
func TestStackNames(t *testing.T) {
	two := layered("    stacks: [{name: system}, {name: business}]\n")
	one := layered("    stacks: [{name: system}]\n")
	for name, test := range map[string]struct{ config, stack, dir, want string }{
		"first":           {two, "system", "system", ""},
		"second":          {two, "business", "business", ""},
		"none of several": {two, "", "", "config.yml:5:13: node node3 has several stacks, and none is named"},
		"unknown":         {two, "biz", "", `config.yml:5:13: node node3 has no stack "biz"`},
		"only one listed": {one, "", "system", ""},
		"not layered":     {plainConfig, "", "", ""},
		"by its name":     {plainConfig, "sbxapp3", "", ""},
		"not its name":    {plainConfig, "node3", "", `config.yml:5:5: node node3 has no stack "node3"`},
	} {
		t.Run(name, func(t *testing.T) {
			files := repository(layeredRepository(test.config))
			node, err := manifests.LoadStack(files, "sandbox", "node3", test.stack)
			judged, judgedErr := manifests.Judges{Node: "node3"}.LoadStack(files, "sandbox", test.stack)
			if test.want != "" {
				wantFault(t, err, test.want)
				wantFault(t, judgedErr, test.want)
				return
			}
			if err != nil || judgedErr != nil {
				t.Fatal(err, judgedErr)
			}
			home := strings.TrimSuffix(nodeDir, "/")
			dir := strings.TrimSuffix(nodeDir+test.dir, "/")
			if node.Home != home || node.Dir != dir || judged.Dir != dir {
				t.Errorf("got %s, %s and %s, want %s and %s", node.Home, node.Dir, judged.Dir, home, dir)
			}
			if set := node.Variables["STACK_NAME"]; set.Value != node.Stack || set.Place.Line == 0 {
				t.Errorf("STACK_NAME is %+v, the stack is %s", set, node.Stack)
			}
		})
	}
}

// TestChecksOfStacks gives each stack its checks. Without a list they follow the last stack, as
// the migration check does.
func TestChecksOfStacks(t *testing.T) {
	files := repository(layeredRepository(layered(`    stacks: [{name: system}, {name: platform, path: layers/db, files: [docker-compose.yaml]}, {name: business}]
database: {host: db, name: n, user: u}
deployment:
  migration_check: {enabled: true}
  checks:
    - {name: last, tcp: {address: "a:1"}}
    - {name: router, stacks: [system, business], tcp: {address: "a:2"}}
    - {name: postgres, stacks: [platform], sql: {query: SELECT 1}}
`)))
	for stack, want := range map[string][]string{"system": {"router"}, "platform": {"postgres"}, "business": {"last", "router"}} {
		node, err := manifests.LoadStack(files, "sandbox", "node3", stack)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		checks, _ := node.Checks()
		for _, check := range checks {
			got = append(got, check.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("checks of %s (-want +got):\n%s", stack, diff)
		}
		if migrates := node.Config.Deployment.MigrationCheck.Enabled; migrates != (stack == "business") {
			t.Errorf("%s migrates: %t", stack, migrates)
		}
		if connections := len(node.Connections()); connections != len(want)+map[string]int{"business": 1}[stack] {
			t.Errorf("%s has %d connections", stack, connections)
		}
	}
}

// TestSecretsElsewhere lists the SOPS files of the other stacks of a node.
func TestSecretsElsewhere(t *testing.T) {
	files := layeredRepository(layered("    stacks: [{name: system}, {name: platform, path: layers/db, files: [docker-compose.yaml]}, {name: root, path: .}, {name: business}]\n"))
	for _, name := range []string{"secrets.enc", "business/secrets/x", "business/secrets/.gitkeep", "business/secrets/.gitattributes", "business/secrets/.gitlab_token.enc", "layers/db/secrets.enc", "system/secrets.enc"} {
		files[nodeDir+name] = "x"
	}
	node, err := manifests.LoadStack(repository(files), "sandbox", "node3", "system")
	if err != nil {
		t.Fatal(err)
	}
	folders, secrets := node.SecretsElsewhere()
	if diff := cmp.Diff([]string{nodeDir + "layers/db", nodeDir + "business"}, folders); diff != "" {
		t.Errorf("folders elsewhere (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{nodeDir + "layers/db/secrets.enc", nodeDir + "business/secrets/.gitlab_token.enc", nodeDir + "business/secrets/x"}, secrets); diff != "" {
		t.Errorf("secrets elsewhere (-want +got):\n%s", diff)
	}
}

// TestStackLists gives lists of stacks in config.yml, and the fault that is found in them.
func TestStackLists(t *testing.T) {
	stacks := "    stacks: [{name: system}, {name: business}]\n  - {name: node4, context: c, stack: app}\n"
	for name, test := range map[string]struct{ lines, want string }{
		"unknown":       {"deployment: {checks: [{name: a, stacks: [sstem], tcp: {address: 'a:1'}}]}\n", `config.yml:7:42: deployment.checks[0].stacks lists "sstem", which is not a stack of these nodes`},
		"of other node": {"deployment: {checks: [{name: a, nodes: [node3], stacks: [app], tcp: {address: 'a:1'}}]}\n", `lists "app", which is not a stack of these nodes`},
		"twice":         {"deployment: {checks: [{name: a, stacks: [app, app], tcp: {address: 'a:1'}}]}\n", `deployment.checks[0].stacks lists "app" twice`},
		"migrations":    {"deployment: {migration_check: {enabled: false, stacks: [x]}}\n", `deployment.migration_check.stacks lists "x", which is not a stack`},
		"value of another stack's check": {"deployment:\n  checks:\n    - {name: a, stacks: [system], http: {url: 'http://a', json_path: x, save_as: t}}\n" +
			"    - {name: b, stacks: [system, business], http: {url: 'http://a/{{t}}'}}\n", "{{t}} is not defined"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := manifests.LoadConfig(repository(layeredRepository(layered(stacks+test.lines))), "sandbox")
			wantFault(t, err, test.want)
		})
	}
}
