package main

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/postgrestest"
	"coin.internal/coin-agent/internal/waitfor"
)

// TestMigrationAtWork has a migration take longer than the rollout waits for it: nobody
// goes back as long as it may still change the database, nor once it has.
func TestMigrationAtWork(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	database := postgrestest.New(t)
	database.Exec(t, "CREATE TABLE schema_migrations (id bigint PRIMARY KEY, name text); CREATE TABLE held (id bigint); INSERT INTO held VALUES (42);"+
		" CREATE FUNCTION wait_for(migration bigint) RETURNS void LANGUAGE plpgsql AS 'BEGIN WHILE EXISTS (SELECT FROM held WHERE id = migration) LOOP PERFORM pg_sleep(0.05); END LOOP; END'")
	application := httptest.NewServer(&refuser{})
	t.Cleanup(application.Close)
	files := l.migratedRepo(database, application.URL, application.URL)
	files[composeFile] = strings.NewReplacer(`"INSERT`, `"SELECT wait_for($EXPECTED_MIGRATION_ID); INSERT`,
		"deploy: {restart_policy:", "deploy: {labels: {coin-agent.timeout: $MIGRATE_TIMEOUT}, restart_policy:").Replace(files[composeFile])
	files[node3+"node.env"] += "MIGRATE_TIMEOUT=3m\n"
	l.running(l.commit("first", files))

	bad := l.commit("migrates at length", map[string]string{node3 + "node.env": l.migration("2", 42) + "MIGRATE_TIMEOUT=3s\n"})
	taken := l.await(bad, record.Failed).Sync.Rollback
	want := "it cannot be known which migrations are still to come: " + l.stack + "_migrate has not ended"
	if taken == nil || taken.Wrote || taken.Refused != want {
		t.Fatalf("went back as %+v", taken)
	}
	if image := l.service("web").Spec.TaskTemplate.ContainerSpec.Image; image != imageA {
		t.Errorf("web runs %s", image)
	}
	database.Exec(t, "DELETE FROM held")
	waitfor.NoError(t, patience, func() error {
		if at := database.Exec(t, "SELECT max(id) FROM schema_migrations"); at != "42" {
			return fmt.Errorf("the database is at %s", at)
		}
		return nil
	})
	l.mustRun(exitError, []string{"the database went from migration 41 to 42"}, "rollback", "--yes")
}
