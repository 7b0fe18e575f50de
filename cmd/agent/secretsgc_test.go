package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/internal/waitfor"
)

// collectingNode is a node that no other test has: tests share the engine, and an
// agent collects what carries its label.
const collectingNode = "environments/sandbox/nodes/node7/"

// newCollectingLab is the small lab under that node's name, with lines added to
// config.yml.
func newCollectingLab(t *testing.T, config string) (l *lab, first string) {
	t.Helper()
	t.Parallel()
	l = newLab(t)
	l.settings["node"] = "node7"
	files := map[string]string{}
	for path, content := range l.smallRepo() {
		files[strings.Replace(path, node3, collectingNode, 1)] = content
	}
	const configFile = "environments/sandbox/config.yml"
	files[configFile] = strings.Replace(files[configFile], "name: node3", "name: node7", 1) + config
	return l, l.commit("first", files)
}

// raiseTo rolls a version of db_access out.
func (l *lab) raiseTo(version int) {
	l.t.Helper()
	raised := l.commit(fmt.Sprintf("raise to %d", version), map[string]string{
		collectingNode + "secrets.enc": sopstest.YAML(l.t, l.key, map[string]string{
			"db_access": fmt.Sprintf("version: %d\ncanary-collected-%d", version, version), "web_auth": canaries["web_auth"],
		}),
		collectingNode + "secrets.override.enc": sopstest.YAML(l.t, l.key, map[string]string{"SV_db_access": fmt.Sprint(version)}),
	})
	l.await(raised, record.Succeeded)
	l.looks(1) // the collection comes after the outcome
}

// wantSecrets waits until the stack has these secrets and no others: as long as the task of a
// version stops, the agent does not remove it.
func (l *lab) wantSecrets(shorts ...string) {
	l.t.Helper()
	for i := range shorts {
		shorts[i] = l.stack + "_" + shorts[i]
	}
	waitfor.NoError(l.t, patience, func() error {
		if diff := cmp.Diff(shorts, l.secrets()); diff != "" {
			return fmt.Errorf("secrets (-want +got):\n%s", diff)
		}
		return nil
	})
}

// TestSecretsCollected raises a secret three times where the count alone decides
// what stays, and collects by hand what left the files.
func TestSecretsCollected(t *testing.T) {
	l, first := newCollectingLab(t, "secrets: {retention: {days: 0, versions: 1}, rotation_days: 30}\n")
	l.running(first)
	l.wantSecrets("db_access.1", "web_auth.0")
	l.step("raised", func() {
		l.raiseTo(2)
		l.wantSecrets("db_access.1", "db_access.2", "web_auth.0")
		l.raiseTo(3)
		l.wantSecrets("db_access.2", "db_access.3", "web_auth.0")
		l.raiseTo(4)
		l.wantSecrets("db_access.3", "db_access.4", "web_auth.0")
		l.metric(`coin_agent_removed_versions_total{environment="sandbox",kind="secret",node="node7"} 2`)
		l.metric(`coin_agent_secret_rotation_overdue_seconds{environment="sandbox",node="node7",secret="db_access"} 0`)
		list := decode[[]inventory.ListedSecret](l.t, l.mustRun(exitDone, nil, "secrets", "list", "-o", "json"))
		if len(list) != 2 || list[0].Secret != "db_access" || list[0].Live.Name != l.stack+"_db_access.4" || list[0].Due.IsZero() || len(list[0].Others) != 1 {
			l.t.Fatalf("listed: %+v", list)
		}
		kept := strings.Join(list[0].Others[0].Kept, "; ")
		for _, why := range []string{"previous spec of " + l.stack + "_", "good state of ", "last old version"} {
			if !strings.Contains(kept, why) {
				l.t.Errorf("db_access.3 stays for %q, not for %q", kept, why)
			}
		}
	})
	gone := l.stack + "_gone.1"
	l.step("by hand", func() {
		l.swarm.Docker(l.t, "a content", "secret", "create", "--label", compose.LabelOwner+"=sandbox/node7",
			"--label", compose.LabelStack+"="+l.stack, gone, "-")
		l.mustRun(exitDifferent, []string{gone, "to remove", "1 version to remove, 3 versions stay"}, "secrets", "gc", "--dry-run")
		l.swarm.Docker(l.t, "", "service", "update", "--detach", "--env-add", "BY_HAND=1", l.stack+"_worker")
		l.until("drifted", func(s report.Status) bool { return len(s.Drift) > 0 })
		l.mustRun(exitError, []string{"nothing was removed: live services drifted: " + l.stack + "_worker"}, "secrets", "gc")
		l.mustRun(exitDifferent, []string{"but not now"}, "secrets", "gc", "--dry-run")
		if !slices.Contains(l.secrets(), gone) {
			l.t.Fatal("it was removed by a dry run or while the state was uncertain")
		}
		l.mustRun(exitDone, nil, "sync", "--wait") // and collects
		l.looks(1)
		l.wantSecrets("db_access.3", "db_access.4", "web_auth.0")
		l.swarm.Docker(l.t, "a content", "secret", "create", "--label", compose.LabelOwner+"=sandbox/node7",
			"--label", compose.LabelStack+"="+l.stack, gone, "-")
		survey := decode[inventory.Survey](l.t, l.mustRun(exitDone, nil, "secrets", "gc", "-o", "json"))
		if len(survey.Removed) != 1 || survey.Removed[0].Name != gone || len(survey.Versions) != 3 {
			l.t.Errorf("collected: %+v", survey)
		}
		l.mustRun(exitDone, []string{"0 versions removed, 3 versions stay"}, "secrets", "gc")
		if !strings.Contains(l.logText(), `"removed an old version"`) {
			l.t.Error("the log does not tell of the removal")
		}
	})
	l.step("without the daemon", func() {
		l.stop()
		l.mustRun(exitDone, []string{"SECRET", l.stack + "_web /run/secrets/db_access", "due in ", "stays: previous spec of"}, "secrets", "list")
		l.mustRun(exitDone, []string{"0 versions to remove, 3 versions stay"}, "secrets", "gc", "--dry-run")
		l.mustRun(exitError, []string{"no agent answers", "--dry-run this command shows"}, "secrets", "gc")
		l.mustRun(exitUsage, []string{"unknown output"}, "secrets", "list", "-o", "csv")
	})
}
