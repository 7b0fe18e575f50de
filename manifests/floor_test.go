package manifests_test

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/manifests"
)

func readFloor(tb testing.TB, text string) (*manifests.Config, error) {
	tb.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		tb.Fatal(err)
	}
	return manifests.ReadFloor("agent.yml", document.Content[0])
}

// TestFloor has a floor hold each gate of a commit that sets nothing, and one that sets less.
func TestFloor(t *testing.T) {
	tests := map[string]struct{ floor, commit, key, want string }{
		"approval":        {"approval: {required: true, minimum: 2, approvers: [ada, bob]}", "", "approvals", "2 of ada+bob"},
		"both approvals":  {"approval: {required: true, approvers: [ada]}", "approval: {required: true}", "approvals", "1 of ada, 1 of "},
		"short form":      {"deployment: {approval_required: true}", "", "approvals", "1 of "},
		"freeze":          {weekend, "", "frozen", "weekend"},
		"auto_deploy":     {"deployment: {auto_deploy: false}", "deployment: {auto_deploy: true}", "auto", "false"},
		"plaintext":       {"allow_plaintext_secrets: false", "allow_plaintext_secrets: true", "plain", "false"},
		"tag":             {"deployment: {gates: {tag: {pattern: '^v'}}}", "deployment: {gates: {tag: {pattern: '^v1'}}}", "tag", "^v1 ^v"},
		"images":          {"deployment: {gates: {images: true}}", "", "images", "true"},
		"database":        {"deployment: {gates: {database: true}}", base, "database", "true"},
		"preflight":       {"deployment: {gates: {preflight: true}}", "deployment: {gates: {preflight: false}}", "preflight", "true"},
		"disk":            {"deployment: {gates: {disk: {min_free: 5GB, path: /x}}}", "", "disk", "5GB/x"},
		"scan":            {"deployment: {gates: {vulnerabilities: {severity: High}}}", "deployment: {gates: {vulnerabilities: {severity: none, on_no_answer: warn, registry: 'https://h'}}}", "harbor", "true High warn https://h"},
		"where to scan":   {"deployment: {gates: {vulnerabilities: {registry: 'https://h', on_no_answer: block}}}", "deployment: {gates: {vulnerabilities: {on_no_answer: warn, registry: 'https://evil'}}}", "harbor", "true Critical block https://h"},
		"no exceptions":   {"deployment: {gates: {vulnerabilities: {except: []}}}", "deployment: {gates: {vulnerabilities: {except: ['h/*']}}}", "excepts", "false false"},
		"own exceptions":  {"deployment: {gates: {vulnerabilities: {}}}", "deployment: {gates: {vulnerabilities: {except: [h/a]}}}", "excepts", "true false"},
		"soak":            {"deployment: {rollback: {soak: 1h}}", "deployment: {rollback: {soak: 1s}}", "rollback", "true false 1h0m0s"},
		"automatic":       {"deployment: {rollback: {automatic: true}}", "", "rollback", "true true 10m0s"},
		"forbidden":       {"deployment: {rollback: {enabled: false}}", "deployment: {rollback: {automatic: true}}", "rollback", "false true 10m0s"},
		"never forbidden": {"deployment: {rollback: {enabled: true}}", "deployment: {rollback: {enabled: false}}", "rollback", "true false 10m0s"},
		"migration check": {"deployment: {migration_check: {enabled: true}}", base + "deployment: {migration_check: {enabled: false, table: t}}", "migrations", "true t db"},
		"order":           {"deployment: {order: [canary, node4]}", "", "before", "canary node3"},
		"order, parallel": {"deployment: {order: [canary, node4]}", "deployment: {strategy: parallel}", "before", "canary"},
		"production":      {"environment: {type: production}", "allow_plaintext_secrets: true", "plain", "false"},
		"production, tag": {"environment: {type: production}", "", "tag", ` ^\d{4}-\d{2}-\d{2}-[a-f0-9]{10}$`},
		"silent":          {"approval: {required: true}", "deployment: {gates: {preflight: false, disk: {min_free: 0B}}, rollback: {soak: 1s}}\nallow_plaintext_secrets: true", "rollback", "true false 1s"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			floor, err := readFloor(t, test.floor)
			if err != nil {
				t.Fatal(err)
			}
			got := manifests.Judges{Floor: floor, Node: "node4", At: judgedAt}.InForce(judged(t, test.commit))
			if said := inForce(got); said[test.key] != test.want {
				t.Errorf("%s is %q, want %q", test.key, said[test.key], test.want)
			}
			if len(got.Loosens) > 0 {
				t.Errorf("nothing was good before, and the commit loosens %q", got.Loosens)
			}
		})
	}
}

// TestFloorIsRefused expects the fault of each floor, with its line.
func TestFloorIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"\nnodes: []":                        `agent.yml:2:1: unknown key "nodes"`,
		"\n- approval":                       "agent.yml:2:1: ",
		"\napproval: {minimum: 2}":           "agent.yml:2:11: approval of the floor is not required",
		"\napproval: {required: yes please}": "agent.yml:2:22: ",
		"\napproval: {required: true, minimum: 2, approvers: [ada]}":             "approval.minimum is 2, but there are 1 approvers",
		"\napproval: {required: true, approvers: [Tech Lead]}":                   `"Tech Lead" is neither a role in approval.roles nor a username`,
		"\nfreeze: [{name: f, schedule: '0 0 * * *', duration: 24h}]":            "agent.yml:2:53: freeze f never ends",
		"\nfreeze: [{name: f, schedule: '0 0 * * *', duration: 1h, nodes: [a]}]": "freeze[0] names nodes",
		"\ndeployment: {strategy: parallel}":                                     `unknown key "strategy" in deployment`,
		"\ndeployment: {migration_check: {table: t}}":                            `unknown key "table" in deployment.migration_check`,
		"\ndeployment: {order: [a, a]}":                                          "deployment.order lists \"a\" twice",
	} {
		_, err := readFloor(t, text)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "agent.yml:2") {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
