package checks_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/internal/postgrestest"
)

// value is a secret in tests.
type value string

func (v value) Reveal() []byte { return []byte(v) }

// TestSQL uses a real PostgreSQL. The environment variables of libpq have no effect.
func TestSQL(t *testing.T) {
	server := postgrestest.New(t)
	for name, text := range map[string]string{
		"PGHOST": "nowhere.invalid", "PGPORT": "1", "PGUSER": "nobody", "PGDATABASE": "nowhere", "PGPASSWORD": "wrong", "PGSSLMODE": "verify-full",
		"PGSSLROOTCERT": "/nowhere", "PGOPTIONS": "-c default_transaction_isolation=nonsense", "PGTARGETSESSIONATTRS": "standby", "PGAPPNAME": "else",
	} {
		t.Setenv(name, text)
	}
	server.Exec(t, "CREATE TABLE schema_migrations (id bigint PRIMARY KEY); INSERT INTO schema_migrations VALUES (564), (565)")
	database := checks.Database{Host: server.Host, Port: server.Port, Name: postgrestest.Name, User: postgrestest.User, Password: value(postgrestest.Password + "\n"), SSLMode: checks.SSLPrefer}
	const highest = "SELECT max(id) FROM schema_migrations"
	for name, test := range map[string]struct {
		change func(*checks.SQL)
		want   string // of the error, or "" if the check passes
	}{
		"equal": {func(q *checks.SQL) { q.Equals = []string{"1", "{{env.EXPECTED}}"} }, ""},
		"our name": {func(q *checks.SQL) {
			q.Query, q.Equals = "SELECT current_setting('application_name')", []string{"coin-agent"}
		}, ""},
		"not equal":    {func(q *checks.SQL) { q.Equals = []string{"566"} }, `got "565", want "566"`},
		"succeeds":     {func(q *checks.SQL) { q.Query = "SELECT 1" }, ""},
		"no row":       {func(q *checks.SQL) { q.Query, q.Equals = "SELECT 1 WHERE false", []string{"1"} }, `got no row, want "1"`},
		"null":         {func(q *checks.SQL) { q.Query, q.Equals = "SELECT NULL", []string{"1"} }, `got "", want "1"`},
		"no table":     {func(q *checks.SQL) { q.Query = "SELECT 1 FROM nowhere" }, `query: ERROR: relation "nowhere" does not exist (42P01)`},
		"writes":       {func(q *checks.SQL) { q.Query = "DELETE FROM schema_migrations" }, "cannot execute DELETE in a read-only transaction"},
		"two commands": {func(q *checks.SQL) { q.Query = "COMMIT; DELETE FROM schema_migrations" }, "cannot insert multiple commands"},
		"slow":         {func(q *checks.SQL) { q.Query = "SELECT pg_sleep(600)" }, "got no answer within 500ms"},
		"bad password": {func(q *checks.SQL) { q.Database.Password = value("canary-wrong") }, `got no connection: FATAL: password authentication failed for user "coin" (28P01)`},
		"no database":  {func(q *checks.SQL) { q.Database.Name = "nowhere" }, `database "nowhere" does not exist`},
		"no server":    {func(q *checks.SQL) { q.Database.Port = 1 }, "dial tcp 127.0.0.1:1: connect: connection refused"},
		"without TLS":  {func(q *checks.SQL) { q.Database.SSLMode = checks.SSLDisable }, ""},
		"with TLS":     {func(q *checks.SQL) { q.Database.SSLMode, q.Query, q.Equals = checks.SSLRequire, usesTLS, []string{"t"} }, ""},
		"prefers TLS":  {func(q *checks.SQL) { q.Query, q.Equals = usesTLS, []string{"t"} }, ""},
		"verified":     {func(q *checks.SQL) { q.Database.SSLMode, q.Database.TLS.CA = checks.SSLVerifyFull, server.CA }, ""},
		"unknown CA":   {func(q *checks.SQL) { q.Database.SSLMode = checks.SSLVerifyFull }, "certificate signed by unknown authority"},
		"other name": {func(q *checks.SQL) {
			q.Database.SSLMode, q.Database.TLS = checks.SSLVerifyFull, checks.TLS{CA: server.CA, ServerName: "db"}
		}, "wanted to match db"},
		"quotes itself": {func(q *checks.SQL) { q.Query = `SELECT 1 FROM "` + postgrestest.Password + `"` }, `relation "***" does not exist`},
		"quotes a row":  {func(q *checks.SQL) { q.Query = "SELECT v::int FROM (VALUES ('canary-row')) rows (v)" }, "query: ERROR: a value does not fit (not shown) (22P02)"},
	} {
		t.Run(name, func(t *testing.T) {
			query := checks.SQL{Database: database, Query: highest}
			test.change(&query)
			timeout := time.Minute
			if strings.Contains(test.want, "within 500ms") {
				timeout = 500 * time.Millisecond
			}
			result := checks.Run(t.Context(), []checks.Check{{Name: "db", Timeout: timeout, SQL: &query}},
				checks.Options{Facts: map[string]string{"env.EXPECTED": "565"}})[0]
			if result.OK != (test.want == "") || !strings.Contains(result.Error, test.want) || strings.Contains(result.Error, "canary") {
				t.Errorf("got %v %q, want %q", result.OK, result.Error, test.want)
			}
		})
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	value, rows, err := database.First(t.Context(), "SELECT i FROM generate_series(1, 1000000) i")
	if runtime.ReadMemStats(&after); value != "1" || rows != 1_000_000 || err != nil || after.TotalAlloc-before.TotalAlloc > 8<<20 {
		t.Errorf("a million rows: got %q, %d, %v, for %d bytes", value, rows, err, after.TotalAlloc-before.TotalAlloc)
	}
	if left := server.Exec(t, "SELECT count(*) FROM schema_migrations"); left != "2" {
		t.Errorf("%s rows are left of 2", left)
	}
}

const usesTLS = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
