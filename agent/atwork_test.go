package agent_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/deploy"
)

// Jobs gives no job: jobs of the world end at once.
func (engine) Jobs(context.Context, string) (deploy.Jobs, error) { return deploy.Jobs{}, nil }

func (engine) StopJobs(context.Context, string, []string, func(deploy.Event) error) error {
	return errors.New("no job works")
}

// busyEngine is an engine on which a job is at work until a time.
type busyEngine struct {
	engine
	until *time.Time
}

func (b busyEngine) Jobs(context.Context, string) (jobs deploy.Jobs, err error) {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	if time.Now().Before(*b.until) {
		jobs.Running = []string{"s_migrate"}
	}
	return jobs, nil
}

// busy has a job at work for a time after release 2 was found broken.
func (m *migrated) busy(d time.Duration) {
	until := &time.Time{}
	m.change = func(parts *agent.Parts) { parts.Engine = busyEngine{engine{m.world}, until} }
	m.breaks("2")
	broken := m.onVerify
	m.onVerify = func() {
		if broken(); m.result.Err() != nil {
			*until = time.Now().Add(d)
		}
	}
}

// Nobody goes back while a job may be about to migrate the database.
func TestMigrationGuardWaitsForJobs(t *testing.T) {
	inMigratedWorlds(t, map[string]func(m *migrated){
		"that end": func(m *migrated) {
			m.busy(8 * time.Second)
			m.release("1", configFile, m.config(true))
			m.start()
			bad := m.release("2")
			m.poll()
			m.pass(time.Minute)
			m.wantLast(bad, record.RolledBack)
		},
		"that go on": func(m *migrated) {
			m.busy(time.Minute)
			m.release("1", configFile, m.config(true))
			m.start()
			bad := m.release("2")
			m.poll()
			m.pass(30 * time.Second)
			sync := m.wantLast(bad, record.Failed)
			m.refused(sync, "it cannot be known which migrations are still to come: s_migrate has not ended", "wait until it has ended")
			if _, err := m.goBack(request.Rollback{}); err == nil || !strings.Contains(err.Error(), "s_migrate has not ended") {
				m.t.Errorf("by hand: %v", err)
			}
			m.pass(time.Minute)
			m.wentBack(request.Rollback{})
			m.runs("1")
		},
		"by force": func(m *migrated) {
			m.busy(time.Hour)
			m.release("1", configFile, m.config(true))
			m.start()
			bad := m.release("2")
			m.poll()
			m.pass(30 * time.Second)
			m.wantLast(bad, record.Failed)
			sync := m.wentBack(request.Rollback{Force: true})
			if !sync.Migration.Forced || len(sync.Rollback.Warnings) == 0 {
				m.t.Errorf("recorded %+v, %+v", sync.Migration, sync.Rollback)
			}
		},
	})
}
