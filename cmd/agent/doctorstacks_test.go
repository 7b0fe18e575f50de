package main

import (
	"slices"
	"strings"
	"testing"

	"coin.internal/coin-agent/sync/gittest"
)

// The doctor judges each stack of a node by the policy: a rollout of one that it refuses fails.
func TestDoctorPolicyOfStacks(t *testing.T) {
	t.Parallel()
	const bind = "services:\n  web: {image: \"web:1\", volumes: [\"/etc:/host\"]}\n"
	repo := gittest.New(t)
	repo.Commit("Two stacks", map[string]string{
		"environments/sandbox/config.yml": "environment: {name: sandbox, type: non-production}\n" +
			"nodes:\n  - {name: node3, context: c, stacks: [{name: system}, {name: business}]}\n",
		node3 + "system/docker-compose.yml":   bind,
		node3 + "business/docker-compose.yml": "services:\n  api: {image: \"api:1\"}\n",
	})
	for name, test := range map[string]struct{ settings, grade, text string }{
		"refused": {"policy: {bind_mounts: []}\n", "fail", "/etc"},
		"allowed": {"policy: {bind_mounts: [/etc]}\n", "ok", "it allows what the repository asks for"},
	} {
		findings := diagnosed(t, repo.Dir, "branch: master\n"+test.settings)
		at := slices.IndexFunc(findings, func(one finding) bool { return one.Subject == "policy" })
		if got := findings[at]; got.Grade != test.grade || !strings.Contains(got.Text, test.text) {
			t.Errorf("%s: got %+v", name, findings[:at+1])
		}
	}
}
