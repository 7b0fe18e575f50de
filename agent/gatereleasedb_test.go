package agent_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/postgrestest"
)

// TestDatabaseWithALogin asks a real PostgreSQL with the login that a check has for
// it: one that is refused holds the rollout back, and shows no password.
func TestDatabaseWithALogin(t *testing.T) {
	server := postgrestest.Shared(t)                                          // outside of the bubble, as it waits for the network
	server.Query(t, "postgres", "ALTER DATABASE coin ALLOW_CONNECTIONS true") // another test may have closed it
	inWorld(t, func(w *world) {
		dir := w.t.TempDir()
		password := func(text string) {
			if err := os.WriteFile(filepath.Join(dir, "db"), []byte(text), 0o600); err != nil {
				w.t.Fatal(err)
			}
		}
		password("canary-wrong-password-7a31")
		w.change = func(p *agent.Parts) { p.Settings.CheckDir = dir }
		commit := w.commit("2", configFile, gated("non-production", "{database: true}",
			"  checks: [{name: db, sql: {query: 'SELECT 1', password_file: db}}]\n"+
				fmt.Sprintf("database: {host: %s, port: %d, name: %s, user: %s}\n", server.Host, server.Port, postgrestest.Name, postgrestest.User)))
		w.start()
		sync := w.wantLast(commit, record.Failed)
		want := fmt.Sprintf("the database coin@127.0.0.1:%d/coin does not answer: got no connection: ", server.Port)
		if !sync.Transient || w.plans() != 0 || !strings.Contains(sync.Error, want) || !strings.Contains(sync.Error, "password authentication failed") {
			w.t.Errorf("again %t, %d plans: %s", sync.Transient, w.plans(), sync.Error)
		}
		if record, err := json.Marshal(sync); err != nil || strings.Contains(string(record), "canary") {
			w.t.Errorf("it shows the password: %s, %v", record, err)
		}
		password(postgrestest.Password)
		w.pass(time.Hour)
		w.wantLast(commit, record.Succeeded)
		if got := w.releaseGate().Passed; !strings.Contains(got, "; database answers; ") {
			w.t.Errorf("passed with %q", got)
		}
	})
}
