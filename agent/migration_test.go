package agent_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/postgrestest"
)

// migrated is a world with a real database behind it, whose migration check is on.
type migrated struct {
	*world
	server *postgrestest.Server
}

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// inMigratedWorlds runs tests in worlds of their own over one PostgreSQL, the table
// at migration 41.
func inMigratedWorlds(t *testing.T, tests map[string]func(m *migrated)) {
	t.Helper()
	server := postgrestest.Shared(t) // outside of the bubble, as it waits for the network
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				m := &migrated{w, server}
				m.opens(true)
				m.sql("DROP TABLE IF EXISTS schema_migrations; CREATE TABLE schema_migrations (id bigint PRIMARY KEY, name text); INSERT INTO schema_migrations VALUES (41, 'forty_one')")
				if err := os.Chmod(w.dir, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(w.dir, "database"), []byte(postgrestest.Password+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				test(m)
			})
		})
	}
}

// opens has the database take connections or not.
func (m *migrated) opens(open bool) {
	m.server.Query(m.t, "postgres", fmt.Sprintf("ALTER DATABASE coin ALLOW_CONNECTIONS %t", open))
}

func (m *migrated) sql(text string) string { return m.server.Exec(m.t, text) }

// config is a config.yml with a migration check that is on, or off, and automatic
// rollback.
func (m *migrated) config(enabled bool) string {
	return fmt.Sprintf(baseConfig+"database: {host: %s, port: %d, name: coin, user: coin}\ndeployment:\n  rollback: {automatic: true}\n"+
		"  migration_check: {enabled: %t, password_file: database, sslmode: disable}\n", m.server.Host, m.server.Port, enabled)
}

// migrates has the apply of a tag run SQL, as the release's migrate service does.
func (m *migrated) migrates(tag, text string) {
	m.set(func() {
		m.onApply = func(context.Context) {
			m.mu.Lock()
			now := strings.Contains(string(m.files[nodeDir+"node.env"].Data), "TAG="+tag+"\n")
			m.mu.Unlock()
			if now {
				m.sql(text)
			}
		}
	})
}

// expecting commits a tag that names the migration that it expects.
func (m *migrated) expecting(tag, id string) string {
	return m.commit(tag+id, nodeDir+"node.env", "TAG="+tag+"\nEXPECTED_MIGRATION_ID="+id+"\n")
}

const insert42 = "INSERT INTO schema_migrations VALUES (42, 'add_wallets') ON CONFLICT DO NOTHING"

// stood checks where a sync says that the database stood; -1 is unread.
func (m *migrated) stood(sync *record.Sync, before, after int64) {
	m.t.Helper()
	is := func(id *int64, want int64) bool { return id == nil && want < 0 || id != nil && *id == want }
	if noted := sync.Migration; noted == nil || noted.Table != "schema_migrations" || noted.Column != "id" || !is(noted.Before, before) || !is(noted.After, after) {
		m.t.Errorf("recorded %+v, want %d before and %d after", noted, before, after)
	}
}

// proven checks what the newest good state was proven with.
func (m *migrated) proven(want int64) {
	m.t.Helper()
	good, err := m.records.Newest()
	if err != nil || good == nil || good.Migration == nil || *good.Migration != want {
		m.t.Errorf("the good state is %+v, %v; want migration %d", good, err, want)
	}
}

func TestMigrationCheck(t *testing.T) {
	inMigratedWorlds(t, map[string]func(m *migrated){
		"recorded": func(m *migrated) {
			m.migrates("1", insert42)
			commit := m.release("1", configFile, m.config(true))
			m.start()
			m.stood(m.wantLast(commit, record.Succeeded), 41, 42)
			m.proven(42)
		},
		"as expected": func(m *migrated) {
			m.migrates("1", insert42)
			m.commit("config", configFile, m.config(true))
			commit := m.expecting("1", "42")
			m.start()
			sync := m.wantLast(commit, record.Succeeded)
			if m.stood(sync, 41, 42); *sync.Migration.Expected != 42 {
				m.t.Errorf("expected %d", *sync.Migration.Expected)
			}
			m.sql("DROP TABLE schema_migrations")
			comment := m.commit("comment", nodeDir+"node.env", "TAG=1\nEXPECTED_MIGRATION_ID=42\n# nothing\n")
			m.poll()
			if sync := m.wantLast(comment, record.Succeeded); sync.Migration != nil {
				m.t.Errorf("asked though nothing was written: %+v", sync.Migration)
			}
			m.proven(42)
		},
		"not as expected": func(m *migrated) {
			m.commit("config", configFile, m.config(true))
			commit := m.expecting("1", "42")
			m.start()
			sync := m.wantLast(commit, record.Failed)
			if m.stood(sync, 41, 41); sync.Error != "the database is at migration 41, the release expects 42" || sync.Stage != "verify" || sync.Hint == "" {
				m.t.Errorf("%s: %s (%s)", sync.Stage, sync.Error, sync.Hint)
			}
		},
		"another expectation alone": func(m *migrated) {
			m.commit("config", configFile, m.config(true))
			m.expecting("1", "41")
			m.start()
			commit := m.expecting("1", "42")
			m.poll()
			m.wantLast(commit, record.Failed)
		},
		"older than the database": func(m *migrated) {
			m.commit("config", configFile, m.config(true))
			commit := m.expecting("1", "40")
			m.start()
			sync := m.wantLast(commit, record.Failed)
			if sync.Error != "the database is at migration 41 already, the release expects 40" || sync.Wrote || m.plans() != 0 || !strings.Contains(sync.Hint, "nothing was touched") {
				m.t.Errorf("%s (%s), touched %t", sync.Error, sync.Hint, sync.Wrote)
			}
		},
		"no table yet": func(m *migrated) {
			m.sql("DROP TABLE schema_migrations")
			m.migrates("1", "CREATE TABLE schema_migrations (id bigint); INSERT INTO schema_migrations VALUES (1)")
			commit := m.release("1", configFile, m.config(true))
			m.start()
			sync := m.wantLast(commit, record.Succeeded)
			if m.stood(sync, 0, 1); !slices.Contains(sync.Warnings, "the database has no table schema_migrations yet: that counts as migration 0") {
				m.t.Errorf("warnings: %q", sync.Warnings)
			}
		},
		"no numbers": func(m *migrated) {
			m.sql("DROP TABLE schema_migrations; CREATE TABLE schema_migrations (id text); INSERT INTO schema_migrations VALUES ('V1__first')")
			commit := m.release("1", configFile, m.config(true))
			m.start()
			if sync := m.wantLast(commit, record.Failed); sync.Transient || m.plans() != 0 || !strings.Contains(sync.Error, "the column id of schema_migrations has IDs that are not whole numbers") {
				m.t.Errorf("retry %t: %s", sync.Transient, sync.Error)
			}
		},
		"unreachable": func(m *migrated) {
			m.opens(false)
			commit := m.release("1", configFile, m.config(true))
			m.start()
			m.poll()
			sync := m.wantLast(commit, record.Failed)
			if !sync.Transient || sync.Wrote || m.plans() != 0 || sync.Stage != "gate" || !strings.Contains(sync.Error, "read the migrations of coin@127.0.0.1:") {
				m.t.Errorf("retry %t, touched %t at %s: %s", sync.Transient, sync.Wrote, sync.Stage, sync.Error)
			}
			m.opens(true)
			for range 4 {
				m.poll()
			}
			m.stood(m.wantLast(commit, record.Succeeded), 41, 41)
		},
		"killed in the middle": func(m *migrated) {
			m.migrates("1", insert42)
			commit := m.release("1", configFile, m.config(true))
			m.lost = true
			m.start()
			m.halt()
			m.lost = false
			m.start()
			m.stood(m.wantLast(commit, record.Succeeded), 41, 42)
		},
		"killed when the others have gone on": func(m *migrated) {
			m.commit("config", configFile, m.config(true)+"drift: correct\n")
			commit := m.expecting("1", "41")
			m.start()
			m.wantLast(commit, record.Succeeded)
			m.sql(insert42)
			m.set(func() { m.live, m.lost = nil, true })
			m.poll()
			m.halt()
			m.lost = false
			m.start()
			if sync := m.wantLast(commit, record.Succeeded); sync.Trigger != "drift" || !slices.Contains(sync.Warnings, "the database is at migration 42 already, the release expects 41") {
				m.t.Errorf("%s warns of %q", sync.Trigger, sync.Warnings)
			}
		},
		"tried again when the others have gone on": func(m *migrated) {
			m.commit("config", configFile, m.config(true))
			commit := m.expecting("1", "41")
			m.start()
			m.wantLast(commit, record.Succeeded)
			m.sql(insert42)
			m.opens(false)
			m.set(func() { m.live = nil })
			if sync, err := m.desk.Sync(m.t.Context(), person, func(string) {}); err == nil && !sync.Transient {
				m.t.Fatalf("got %+v, %v", sync, err)
			}
			m.opens(true)
			m.pass(5 * time.Minute)
			m.wantLast(commit, record.Succeeded)
		},
		"drift without the database": func(m *migrated) {
			commit := m.release("1", configFile, m.config(true)+"drift: correct\n")
			m.start()
			m.opens(false)
			m.set(func() { m.live = nil })
			m.poll()
			sync := m.wantLast(commit, record.Succeeded)
			if took := sync.Finished.Sub(sync.Started); sync.Trigger != "drift" || took > time.Second || len(sync.Warnings) == 0 {
				m.t.Errorf("%s took %s and warns of %q", sync.Trigger, took, sync.Warnings)
			}
			m.proven(41)
		},
		"back at an older one": func(m *migrated) {
			m.commit("config", configFile, m.config(true))
			old := m.expecting("1", "41")
			m.start()
			m.migrates("2", insert42)
			m.expecting("2", "42")
			m.poll()
			m.expecting("1", "41")
			m.poll()
			if sync := m.wantLast(old, record.Failed); sync.Wrote || !strings.Contains(sync.Hint, "nothing was touched") {
				m.t.Errorf("touched %t: %s", sync.Wrote, sync.Error)
			}
			if sync, err := m.desk.Sync(m.t.Context(), person, func(string) {}); err != nil || sync.State != record.Failed {
				m.t.Errorf("asked for: %+v, %v", sync, err)
			}
			m.runs("2")
		},
		"fails for another reason": func(m *migrated) {
			m.migrates("1", insert42)
			m.breaks("1")
			commit := m.release("1", configFile, m.config(true))
			m.start()
			m.stood(m.wantLast(commit, record.Failed), 41, 42)
		},
	})
}
