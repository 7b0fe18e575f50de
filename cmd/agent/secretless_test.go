package main

import (
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/internal/sopstest"
)

// TestSecretLeftToSwarm takes a secret's value out of the repository: the version
// that Swarm holds goes on to be used, with a warning. A version that nobody has
// stops the sync (TestBadCommits).
func TestSecretLeftToSwarm(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	files := l.smallRepo()
	first := l.commit("first", files)
	l.start()
	l.await(first, record.Succeeded)
	files[node3+"secrets.enc"] = sopstest.YAML(t, l.key, map[string]string{"db_access": canaries["db_access"]})
	l.recorder.Reset()
	second := l.commit("drop web_auth", files)
	l.await(second, record.Succeeded)
	if writes := l.recorder.Writes(); len(writes) > 0 {
		t.Errorf("it wrote %v", writes)
	}
	_, out, _ := l.command("status", "-o", "json")
	warnings := strings.Join(decode[report.Status](t, out).Sync.Warnings, "\n")
	if want := `the secret "web_auth" has no value in the repository: Swarm must have ` + l.stack + "_web_auth.0"; !strings.Contains(warnings, want) {
		t.Errorf("warnings %q lack %q", warnings, want)
	}
}
