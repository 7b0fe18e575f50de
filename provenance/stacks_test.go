package provenance_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/provenance"
)

// TestTraceStacks moves a node's secrets into two stacks. Each secret of each stack is there, and
// one that both use is there once, with the history that it had before the move.
func TestTraceStacks(t *testing.T) {
	l := newLab(t)
	l.Git("rm", "--quiet", node3+"docker-compose.yml")
	l.by("Bob", date(2, 1), "Layers", map[string]string{
		"environments/sandbox/config.yml": "environment: {name: sandbox, type: non-production}\n" +
			"nodes:\n  - {name: node3, context: c, stacks: [{name: system}, {name: business, path: layers/business, files: [app.yml]}]}\n",
		node3 + "system/docker-compose.yml": stack,
		node3 + "layers/business/app.yml": `services:
  web: {image: "web:1", secrets: [db_access, {source: api_key}]}
  api: {image: "api:1", extends: web, secrets: [shared]}
  old: {image: "old:1", extends: {file: ./base.yml, service: base}}
secrets:
  db_access: {external: true, name: db_access.$SV_db_access}
  api_key: {file: ./secrets/api_key, name: business_key.$SV_business_key}
  shared: {file: ./secrets/db_access, name: shared.$SV_db_access}
`,
		node3 + "layers/business/base.yml":             "services:\n  base: {image: \"old:1\", secrets: [shared]}\n",
		node3 + "layers/business/secrets.enc":          l.sealed("unused", "canary-business"),
		node3 + "layers/business/secrets.override.env": "SV_business_key=4\n",
		node3 + "layers/business/node.env":             "SV_db_access=7\n",
	})
	report := l.trace(l.keys)
	var got []string
	for _, one := range report.Secrets {
		got = append(got, fmt.Sprintf("%s %s=%s %s %v", one.Name, one.Variable, one.Version, one.Object, one.Users))
	}
	want := []string{
		"api_key SV_api_key=0 api_key.0 []", "business/api_key SV_business_key=4 business_key.4 [business_api business_web]",
		"db_access SV_db_access=1 db_access.1 [system_web business_api business_web]", "shared SV_db_access=1 shared.1 [business_api business_old]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	if lines := entryLines(find(t, report, "db_access")); !strings.HasPrefix(lines[0], "1 added value=yes Ada") {
		t.Errorf("the history of db_access is %v", lines)
	}
}

// TestAppliedStacks has one stack of a node synced, and the other not: a secret counts as applied
// where a stack that has it was synced.
func TestAppliedStacks(t *testing.T) {
	l := newLab(t)
	l.Git("rm", "--quiet", node3+"docker-compose.yml")
	both := l.by("Bob", date(2, 1), "Two stacks", map[string]string{
		"environments/sandbox/config.yml": "environment: {name: sandbox, type: non-production}\n" +
			"nodes:\n  - {name: node3, context: c, stacks: [{name: system}, {name: business}]}\n",
		node3 + "system/docker-compose.yml": stack,
		node3 + "business/docker-compose.yml": `services:
  web: {image: "web:1", secrets: [db_access, own]}
secrets:
  db_access: {external: true, name: db_access.$SV_db_access}
  own: {file: ./secrets/own, name: own.$SV_own}
`,
		node3 + "business/secrets.enc":          sopstest.YAML(t, l.key, map[string]string{"own": "canary-own"}),
		node3 + "business/secrets.override.env": "SV_own=4\n",
	})
	for _, test := range []struct{ stack, shared, own string }{
		{"system", "agent " + both[:8], "unknown"},
		{"business", "agent " + both[:8], "agent " + both[:8]},
		{"other", "unknown", "unknown"},
		{"", "agent " + both[:8], "agent " + both[:8]}, // by an agent that knew one stack only
	} {
		report := l.trace(l.keys)
		report.AddSyncs("node3", []provenance.Sync{{Commit: both, Stack: test.stack, Succeeded: true, Finished: date(2, 2)}})
		for name, want := range map[string]string{"db_access": test.shared, "own": test.own} {
			if got := applied(find(t, report, name)); got[len(got)-1] != want {
				t.Errorf("%s after a sync of %q: %v", name, test.stack, got)
			}
		}
	}
}
