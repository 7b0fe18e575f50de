package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/provenance"
)

// When this node applied and created a version is read from its agent, running or not.
// On another machine, GitLab's commit statuses show when it applied the version.
func TestSecretsAuditApplied(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	files := l.smallRepo()
	first := l.commit("Start", files)
	l.start()
	l.await(first, record.Succeeded)
	second := l.commit("Rotate", map[string]string{
		node3 + "secrets.enc":          sopstest.YAML(t, l.key, map[string]string{"db_access": canaries["db_next"], "web_auth": canaries["web_auth"]}),
		node3 + "secrets.override.enc": sopstest.YAML(t, l.key, map[string]string{"SV_db_access": "2"}),
	})
	l.await(second, record.Succeeded)
	check := func(source string, args ...string) {
		t.Helper()
		code, out, errs := l.command(append([]string{"secrets", "audit", "--repo", l.repo.Dir, "--secret", "db_access", "-o", "json"}, args...)...)
		if code != exitDone || errs != "" {
			t.Fatalf("exit %d: %s%s", code, out, errs)
		}
		report := decode[provenance.Report](t, out)
		entries := report.Secrets[0].Entries
		if len(report.Secrets) != 1 || len(entries) != 2 {
			t.Fatalf("got %s", out)
		}
		for i, entry := range entries {
			if entry.Applied == nil || entry.Applied.Source != source || time.Since(entry.Applied.At) > time.Hour || entry.Object != fmt.Sprintf("%s_db_access.%d", l.stack, i+1) {
				t.Errorf("%s: applied %+v", entry.Version, entry.Applied)
			}
			if here := source == "agent"; entry.Created.IsZero() == here {
				t.Errorf("%s: created %s", entry.Version, entry.Created)
			}
		}
		if entries[1].Applied.Commit != second || strings.Contains(out, "canary") {
			t.Errorf("got %s", out)
		}
	}
	check("agent")
	l.posts(second, "success")
	l.stop()
	check("agent")
	check("gitlab", "--state-dir", t.TempDir()) // another machine
}
