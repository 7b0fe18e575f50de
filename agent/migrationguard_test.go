package agent_test

import (
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
)

// failsAfter has a release 1 proven, and a release 2 run SQL and fail.
func (m *migrated) failsAfter(text string) *record.Sync {
	m.t.Helper()
	m.release("1", configFile, m.config(true))
	m.start()
	m.proven(41)
	m.migrates("2", text)
	m.breaks("2")
	commit := m.release("2")
	m.poll()
	m.poll()
	sync := m.last()
	if sync.Commit != commit || !sync.State.Final() || sync.Rollback == nil {
		m.t.Fatalf("%s is %s: %s, rollback %+v", sync.Commit, sync.State, sync.Error, sync.Rollback)
	}
	return sync
}

// refused checks that nobody went back, and why.
func (m *migrated) refused(sync *record.Sync, wants ...string) {
	m.t.Helper()
	if sync.State != record.Failed || !strings.Contains(sync.Error, "service s_web") || sync.Rollback.Wrote || sync.Rollback.Finished.IsZero() {
		m.t.Errorf("%s: %s, rollback %+v", sync.State, sync.Error, sync.Rollback)
	}
	for _, want := range wants {
		if !strings.Contains(sync.Rollback.Refused+" "+sync.Rollback.Hint, want) {
			m.t.Errorf("refused with %q (%s), without %q", sync.Rollback.Refused, sync.Rollback.Hint, want)
		}
	}
	m.runs("2")
}

func TestMigrationGuard(t *testing.T) {
	inMigratedWorlds(t, map[string]func(m *migrated){
		"nothing migrated": func(m *migrated) {
			if sync := m.failsAfter("SELECT 1"); sync.State != record.RolledBack {
				m.t.Errorf("%s: %+v", sync.State, sync.Rollback)
			}
			m.runs("1")
		},
		"refused": func(m *migrated) {
			sync := m.failsAfter(insert42 + "; INSERT INTO schema_migrations VALUES (43, 'drop_old_wallets')")
			m.stood(sync, 41, 43)
			m.refused(sync, "the database went from migration 41 to 43 after 1 (sync #1) was verified: 42 (add_wallets), 43 (drop_old_wallets)",
				"would a rollback lose data?", "agent rollback --force-migrations")
			applied := m.plans()
			for range 5 {
				m.poll()
			}
			if m.plans() != applied || m.last().ID != sync.ID {
				m.t.Error("it does not leave it at that")
			}
		},
		"in the soak time": func(m *migrated) {
			c := &crashing{w: m.world, service: "s_web"}
			m.change = func(parts *agent.Parts) { parts.Tasks = c }
			c.runs(1)
			m.release("1", configFile, m.config(true))
			m.start()
			m.proven(41)
			m.migrates("2", insert42)
			commit := m.release("2")
			m.poll()
			m.poll()
			m.wantLast(commit, record.Succeeded)
			for range 3 {
				c.crash()
				m.pass(3 * time.Second)
			}
			m.pass(time.Minute)
			sync := m.wantLast(commit, record.Succeeded)
			if sync.Rollback == nil || !strings.Contains(sync.Rollback.Refused, "after 1 (sync #1) was verified: 42 (add_wallets)") || sync.Rollback.To != 1 {
				m.t.Errorf("rollback %+v", sync.Rollback)
			}
			m.runs("2")
		},
		"forced": func(m *migrated) {
			m.refused(m.failsAfter(insert42))
			if _, err := m.goBack(request.Rollback{}); err == nil || !strings.Contains(err.Error(), "42 (add_wallets)") {
				m.t.Errorf("not refused without force: %v", err)
			}
			m.runs("2")
			sync := m.wentBack(request.Rollback{Force: true, Reason: "wallets are new"})
			m.runs("1")
			if m.stood(sync, 42, 42); !sync.Migration.Forced || !sync.Rollback.Force {
				m.t.Errorf("recorded %+v, %+v", sync.Migration, sync.Rollback)
			}
			m.forcedBy("ada", "42 (add_wallets)", "wallets are new")
			m.proven(42)
			m.breaks("2", "3")
			bad := m.release("3")
			m.poll()
			m.wantLast(bad, record.RolledBack)
		},
		"more than are listed": func(m *migrated) {
			m.refused(m.failsAfter("INSERT INTO schema_migrations SELECT i, 'm'||i FROM generate_series(42, 70) i"), "61 (m61), and 9 more")
		},
		"migrated by others before": func(m *migrated) {
			m.release("1", configFile, m.config(true))
			m.start()
			m.sql(insert42)
			m.breaks("2")
			m.release("2")
			m.poll()
			m.refused(m.last(), "(before this rollout began)")
		},
		"taken back by hand": func(m *migrated) {
			m.refused(m.failsAfter(insert42))
			m.sql("DELETE FROM schema_migrations WHERE id = 42")
			m.wentBack(request.Rollback{})
			m.runs("1")
		},
		"without its table": func(m *migrated) {
			m.refused(m.failsAfter("ALTER TABLE IF EXISTS schema_migrations RENAME TO flyway_schema_history"),
				"it cannot be known whether migrations came after 1 (sync #1): the table schema_migrations, which was at migration 41 then, is not there", "force-migrations")
			m.wentBack(request.Rollback{Force: true})
			m.runs("1")
		},
		"unreachable": func(m *migrated) {
			m.breaks("2")
			m.release("1", configFile, m.config(true))
			m.start()
			verify := m.onVerify
			m.set(func() {
				m.onVerify = func() {
					m.opens(false)
					verify()
				}
			})
			m.release("2")
			m.poll()
			m.poll()
			m.opens(true)
			m.refused(m.last(), "it cannot be known whether migrations came after 1 (sync #1): ", "once the database can be read, `agent rollback`")
			m.wentBack(request.Rollback{})
		},
		"checked for the first time": func(m *migrated) {
			m.release("1", configFile, m.config(false))
			m.start()
			m.migrates("2", insert42)
			m.breaks("2")
			m.release("2", configFile, m.config(true))
			m.poll()
			m.refused(m.last(), "from migration 41 to 42")
		},
		"never looked": func(m *migrated) {
			m.release("1", configFile, m.config(false))
			m.start()
			m.migrates("2", insert42)
			m.breaks("2")
			bad := m.release("2")
			m.poll()
			m.wantLast(bad, record.RolledBack)
		},
		"switched off by the one that failed": func(m *migrated) {
			m.release("1", configFile, m.config(true))
			m.start()
			m.migrates("2", insert42)
			m.breaks("2")
			m.release("2", configFile, m.config(false))
			m.poll()
			m.refused(m.last(), "from migration 41 to 42")
		},
	})
}

// forcedBy checks what the audit log has of a rollback across migrations.
func (m *migrated) forcedBy(name string, wants ...string) {
	m.t.Helper()
	found := 0
	err := m.audit.Read(func(entry audit.Entry) {
		if entry.Action != audit.Rollback || !strings.HasPrefix(entry.Detail, "across migrations") {
			return
		}
		found++
		for _, want := range wants {
			if entry.Actor.Name != name || !strings.Contains(entry.Detail, want) {
				m.t.Errorf("entry %+v, without %q", entry, want)
			}
		}
	})
	if err != nil || found != 1 {
		m.t.Errorf("%d entries, %v", found, err)
	}
}
