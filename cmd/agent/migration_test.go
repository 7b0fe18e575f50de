package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/postgrestest"
	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/internal/waitfor"
)

// migratedRepo is a repository whose service migrate runs psql, of this machine, on
// the database: it inserts the migration that the release expects.
func (l *lab) migratedRepo(database *postgrestest.Server, application, hook string) map[string]string {
	l.t.Helper()
	l.swarm.Image(l.t, imageA, imageB)
	mounts := []string{database.Sockets + ":/database"}
	for _, dir := range []string{"/lib", "/lib64", "/usr"} { // where psql and what it is linked with are
		if _, err := os.Stat(dir); err == nil {
			mounts = append(mounts, dir+":"+dir+":ro")
		}
	}
	return map[string]string{
		configFile: fmt.Sprintf(`environment: {name: sandbox, type: non-production}
nodes: [{name: node3, context: ctx3, stack: %s}]
database: {host: %s, port: %d, name: coin, user: coin}
notifications: {slack: {channel: "#ops", webhook_url_variable: SLACK_WEBHOOK}}
deployment:
  health_check: {timeout: 3m}
  migration_check: {enabled: true, password_secret: db_password}
  rollback: {automatic: true}
  checks:
    - {name: health, retries: 0, http: {url: '%s/health?release={{release}}'}}
`, l.stack, database.Host, database.Port, application),
		node3 + "node.env": l.migration("1", 41),
		node3 + "secrets.enc": sopstest.YAML(l.t, l.key, map[string]string{
			"db_password": postgrestest.Password, "SLACK_WEBHOOK": hook,
			"pgpass": "*:*:*:coin:" + postgrestest.Password + "\n",
		}),
		composeFile: onHost + fmt.Sprintf(`services:
  web:
    image: coin-test/app:$TAG
    environment: {LISTEN_PORTS: 0}
    deploy: {endpoint_mode: dnsrr, update_config: {monitor: 300ms}}
  migrate:
    image: coin-test/app:$TAG
    user: "0"
    entrypoint: [%s]
    command: [-h, /database, -p, "%d", -U, coin, -d, coin, -v, ON_ERROR_STOP=1, -c,
      "INSERT INTO schema_migrations VALUES ($EXPECTED_MIGRATION_ID, 'migration $EXPECTED_MIGRATION_ID') ON CONFLICT DO NOTHING"]
    environment: {PGPASSFILE: /run/secrets/pgpass}
    secrets: [{source: pgpass, mode: 0400}]
    volumes: [%s]
    deploy: {restart_policy: {condition: on-failure, max_attempts: 2, delay: 1s}}
secrets:
  pgpass: {file: ./secrets/pgpass, name: "${STACK}_pgpass.1"}
`, database.Program("psql"), database.Port, strings.Join(mounts, ", ")),
	}
}

// migration is node.env of a release that expects a migration.
func (l *lab) migration(tag string, id int) string {
	return l.nodeEnv(tag, fmt.Sprintf("EXPECTED_MIGRATION_ID=%d", id))
}

// inbox takes what a webhook is told.
type inbox struct {
	mu    sync.Mutex
	texts []string
}

func (b *inbox) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	text, _ := io.ReadAll(r.Body)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.texts = append(b.texts, string(text))
}

func (b *inbox) has(wants ...string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if slices.ContainsFunc(b.texts, func(text string) bool {
		return !slices.ContainsFunc(wants, func(want string) bool { return !strings.Contains(text, want) })
	}) {
		return nil
	}
	return fmt.Errorf("nothing has %q: %q", wants, b.texts)
}

// TestMigrationGuard rolls out a release whose service migrate advances a real
// PostgreSQL and whose check then fails: it is not rolled back by itself, and says
// why everywhere. A person goes back across the migration.
func TestMigrationGuard(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.mappings = hooksHere
	database := postgrestest.New(t)
	database.Exec(t, "CREATE TABLE schema_migrations (id bigint PRIMARY KEY, name text)")
	application, told := &refuser{}, &inbox{}
	server, hook := httptest.NewServer(application), httptest.NewServer(told)
	t.Cleanup(server.Close)
	t.Cleanup(hook.Close)
	first := l.commit("first", l.migratedRepo(database, server.URL, hook.URL))
	l.running(first)
	status := l.await(first, record.Succeeded)
	if noted := status.Sync.Migration; noted == nil || *noted.Before != 0 || *noted.After != 41 || *noted.Expected != 41 {
		t.Errorf("the first release recorded %+v", noted)
	}
	before := l.standing()

	application.refuse("2")
	bad := l.commit("migrates and fails", map[string]string{node3 + "node.env": l.migration("2", 42)})
	status = l.await(bad, record.Failed)
	if got := database.Exec(t, "SELECT max(id) FROM schema_migrations"); got != "42" {
		t.Fatalf("the database is at %s", got)
	}
	noted, taken := status.Sync.Migration, status.Sync.Rollback
	if noted == nil || *noted.Before != 41 || *noted.After != 42 || taken == nil || !taken.Auto || taken.Wrote || taken.To != 1 {
		t.Errorf("recorded %+v, %+v", noted, taken)
	}
	const lies = "the database went from migration 41 to 42 after 1 (sync #1) was verified: 42 (migration 42)"
	if !strings.HasPrefix(status.Sync.Error, "check health") || taken.Refused != lies || !strings.Contains(taken.Hint, "would a rollback lose data?") {
		t.Errorf("failed with %q, refused with %q (%s)", status.Sync.Error, taken.Refused, taken.Hint)
	}
	if image := l.service("web").Spec.TaskTemplate.ContainerSpec.Image; image != imageB {
		t.Errorf("web runs %s", image)
	}
	l.posts(bad, "failed")
	if text := l.described(bad); !strings.Contains(text, "check health") || !strings.Contains(text, "not rolled back: the database went from migration 41 to 42") {
		t.Errorf("described as %q", text)
	}
	waitfor.NoError(t, patience, func() error { return told.has(lies, "would a rollback lose data?") })
	_, out, _ := l.command("status")
	_, shown, _ := l.command("show", fmt.Sprint(status.Sync.ID))
	for what, text := range map[string]string{"status": out, "show": shown} {
		if !strings.Contains(text, lies) {
			t.Errorf("agent %s says nothing of it:\n%s", what, text)
		}
	}
	l.looks(2)
	seen := witness{}
	seen.everything(l, "refused")

	l.mustRun(exitError, []string{lies, "--force-migrations"}, "rollback", "--yes")
	l.mustRun(exitDifferent, []string{"across migrations, by --force-migrations: " + lies}, "rollback", "--dry-run", "--force-migrations")
	l.mustRun(exitDone, []string{"rolled back to 1 (sync #1) by ", "wallets are new"}, "rollback", "--yes", "--force-migrations", "--reason", "wallets are new")
	l.unchanged(before)
	status = l.await(bad, record.RolledBack)
	if noted := status.Sync.Migration; noted == nil || !noted.Forced || *noted.After != 42 {
		t.Errorf("the forced one recorded %+v", noted)
	}
	l.mustRun(exitDone, []string{"across migrations, by --force-migrations: " + lies + "; reason: wallets are new"}, "audit", "log", "-o", "json")
	seen.everything(l, "forced")
	l.stop()
	for place, text := range seen {
		if found := needlesOf(postgrestest.Password).in(text); len(found) > 0 {
			t.Errorf("%s shows %q", place, found)
		}
	}
}
