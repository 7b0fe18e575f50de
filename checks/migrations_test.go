package checks_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/internal/postgrestest"
	"coin.internal/coin-agent/internal/waitfor"
)

// migrated makes a database with the tables of several tools.
func migrated(t *testing.T) (*postgrestest.Server, checks.Database) {
	t.Helper()
	server := postgrestest.New(t)
	server.Exec(t, `
		CREATE TABLE schema_migrations (id bigint PRIMARY KEY, applied_at timestamptz DEFAULT now());
		INSERT INTO schema_migrations VALUES (563), (564), (565);
		CREATE TABLE empty (id integer);
		CREATE TABLE texts (version varchar(255));
		INSERT INTO texts VALUES ('9'), ('10'), ('20251215103000');
		CREATE TABLE many (id integer, name text, description text);
		INSERT INTO many SELECT i, 'm'||i, 'd' FROM generate_series(1, 30) i;
		CREATE TABLE files (id numeric(20), filename text);
		INSERT INTO files VALUES (1, 'a.sql'), (2, NULL), (3, E'c\x1b[2Jc'), (4, repeat('x', 500));
		CREATE TABLE words (id text);
		INSERT INTO words VALUES ('1'), ('secret_name');
		CREATE TABLE stamps (id timestamptz);
		CREATE TABLE huge (id numeric);
		INSERT INTO huge VALUES (99999999999999999999);
		CREATE SCHEMA app;
		CREATE TABLE app.migrations (id bigint);
		INSERT INTO app.migrations VALUES (7);
		CREATE TABLE "Odd" ("Id" bigint);
		INSERT INTO "Odd" VALUES (1);
		CREATE TABLE others (id bigint);
		CREATE ROLE reader LOGIN PASSWORD '`+postgrestest.Password+`';
		GRANT SELECT ON schema_migrations TO reader;`)
	return server, checks.Database{
		Host: server.Host, Port: server.Port, Name: postgrestest.Name, User: postgrestest.User,
		Password: value(postgrestest.Password), SSLMode: checks.SSLPrefer,
	}
}

// TestMigrations reads the tables of a real PostgreSQL.
func TestMigrations(t *testing.T) {
	server, database := migrated(t)
	t.Run("highest", func(t *testing.T) { highest(t, database) })
	t.Run("between", func(t *testing.T) { between(t, database) })
	t.Run("locked", func(t *testing.T) { locked(t, server, database) })
}

func highest(t *testing.T, database checks.Database) {
	t.Helper()
	for name, test := range map[string]struct {
		change func(*checks.Migrations)
		id     int64
		want   string // of the error
	}{
		"bigint":       {func(*checks.Migrations) {}, 565, ""},
		"empty":        {func(m *checks.Migrations) { m.Table = "empty" }, 0, ""},
		"by number":    {func(m *checks.Migrations) { m.Table, m.Column = "texts", "version" }, 20251215103000, ""},
		"numeric":      {func(m *checks.Migrations) { m.Table = "files" }, 4, ""},
		"of a schema":  {func(m *checks.Migrations) { m.Table = "app.migrations" }, 7, ""},
		"as spelt":     {func(m *checks.Migrations) { m.Table, m.Column = "Odd", "Id" }, 1, ""},
		"only read":    {func(m *checks.Migrations) { m.Database.User = "reader" }, 565, ""},
		"no column":    {func(m *checks.Migrations) { m.Column = "version" }, 0, "the table schema_migrations has no column version; it has applied_at, id"},
		"timestamp":    {func(m *checks.Migrations) { m.Table = "stamps" }, 0, "the column id of stamps has the type timestamp with time zone, which is neither a number nor a text"},
		"words":        {func(m *checks.Migrations) { m.Table = "words" }, 0, "the column id of words has IDs that are not whole numbers"},
		"too large":    {func(m *checks.Migrations) { m.Table = "huge" }, 0, "the column id of huge has IDs that are not whole numbers"},
		"not allowed":  {func(m *checks.Migrations) { m.Table, m.Database.User = "others", "reader" }, 0, "permission denied for table others (42501)"},
		"injection":    {func(m *checks.Migrations) { m.Table = `empty"; DROP TABLE empty; --` }, 0, checks.ErrNoTable.Error()},
		"column, too":  {func(m *checks.Migrations) { m.Column = `id"), (DELETE FROM empty` }, 0, "has no column"},
		"no table":     {func(m *checks.Migrations) { m.Table = "nowhere" }, 0, checks.ErrNoTable.Error()},
		"no schema":    {func(m *checks.Migrations) { m.Table = "nowhere.migrations" }, 0, checks.ErrNoTable.Error()},
		"bad password": {func(m *checks.Migrations) { m.Database.Password = value("canary-wrong") }, 0, `got no connection: FATAL: password authentication failed for user "coin" (28P01)`},
		"no server":    {func(m *checks.Migrations) { m.Database.Port = 1 }, 0, "dial tcp 127.0.0.1:1: connect: connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			table := checks.Migrations{Database: database, Table: "schema_migrations", Column: "id"}
			test.change(&table)
			id, err := table.Highest(t.Context())
			if id != test.id || (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %d, %v; want %d, %q", id, err, test.id, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the error contains the password: %v", err)
			}
			if errors.Is(err, checks.ErrNoTable) != (test.want == checks.ErrNoTable.Error()) {
				t.Errorf("the error does not show that the table is missing: %v", err)
			}
		})
	}
}

func between(t *testing.T, database checks.Database) {
	t.Helper()
	for name, test := range map[string]struct {
		table, column string
		above, upTo   int64
		want          []string
		all           int
	}{
		"without names": {"schema_migrations", "id", 563, 565, []string{"564", "565"}, 2},
		"by number":     {"texts", "version", 9, 20251215103000, []string{"10", "20251215103000"}, 2},
		"named":         {"many", "id", 28, 30, []string{"29 (m29)", "30 (m30)"}, 2},
		"files":         {"files", "id", 0, 3, []string{"1 (a.sql)", "2", `3 (c\x1b[2Jc)`}, 3},
		"long":          {"files", "id", 3, 4, []string{"4 (" + strings.Repeat("x", 120) + ")"}, 1},
		"many":          {"many", "id", 0, 30, []string{"1 (m1)", "2 (m2)", "3 (m3)"}, 30},
		"none":          {"many", "id", 30, 30, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			table := checks.Migrations{Database: database, Table: test.table, Column: test.column}
			list, all, err := table.Between(t.Context(), test.above, test.upTo, 3)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, list); diff != "" || all != test.all {
				t.Errorf("%d in all (-want +got):\n%s", all, diff)
			}
		})
	}
}

// locked checks that a read of a table that a migration locks ends. The migration ends
// when there is a table released.
func locked(t *testing.T, server *postgrestest.Server, database checks.Database) {
	t.Helper()
	over := make(chan string, 1)
	go func() {
		over <- server.Exec(t, "BEGIN; LOCK TABLE schema_migrations; DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_class WHERE relname = 'released') LOOP PERFORM pg_sleep(0.05); END LOOP; END $$; COMMIT")
	}()
	table := checks.Migrations{Database: database, Table: "schema_migrations", Column: "id"}
	waitfor.NoError(t, 5*time.Minute, func() error {
		if server.Exec(t, "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'schema_migrations'::regclass") == "0" {
			return errors.New("the table is not locked yet")
		}
		return nil
	})
	limited, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if id, err := table.Highest(limited); err == nil {
		t.Errorf("got %d through a lock", id)
	}
	server.Exec(t, "CREATE TABLE released ()")
	<-over
	if id, err := table.Highest(t.Context()); id != 565 || err != nil {
		t.Errorf("got %d, %v", id, err)
	}
}
