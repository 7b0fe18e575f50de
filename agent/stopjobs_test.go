package agent_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

// withMigrate has a migration that Swarm starts again until it succeeds.
const withMigrate = "services:\n  web: {image: \"app:$TAG\", deploy: {labels: {coin-agent.wave: \"1\"}}}\n  migrate: {image: \"app:$TAG\", deploy: {restart_policy: {condition: on-failure}}}\n"

// failingEngine is an engine on which the migration of release 2 fails again and again.
type failingEngine struct {
	engine
	lasting bool   // it runs as a job, which no write stops
	onlyJob bool   // the rollout failed in the wave of the migration, and wrote nothing else
	onStop  func() // while it is stopped
	fails   *int   // how often it cannot be stopped; nil for never
}

func (f failingEngine) Jobs(context.Context, string) (jobs deploy.Jobs, err error) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	spec, there := f.w.live["s_migrate"]
	switch {
	case !there || spec.TaskTemplate.ContainerSpec.Image != "app:2" || deploy.Idle(spec):
	case f.lasting:
		jobs.Lasting = []string{"s_migrate"}
	default:
		jobs.Due = []string{"s_migrate", "s_of_another_tool"}
	}
	return jobs, nil
}

func (f failingEngine) StopJobs(_ context.Context, _ string, names []string, note func(deploy.Event) error) error {
	event := deploy.Event{Step: deploy.Step{Action: deploy.ScaleDown, Kind: deploy.Service, Name: strings.Join(names, " ")}}
	if err := note(event); err != nil {
		return err
	}
	if f.onlyJob {
		f.w.runs("1")
	} else {
		f.w.runs("2") // the older release does not run yet
	}
	if f.fails != nil && *f.fails > 0 {
		*f.fails--
		return fault.Transient(errors.New("the Swarm has no leader"))
	}
	if f.onStop != nil {
		f.onStop()
	}
	f.w.set(func() {
		spec, none := f.w.live["s_migrate"], uint64(0)
		spec.Mode = swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &none}}
		f.w.live["s_migrate"] = spec
	})
	event.Done = true
	return note(event)
}

// A migration of the newer release does not go on under the older one: the rollback stops it, and
// asks the database once more.
func TestRollbackStopsJobs(t *testing.T) {
	// failed has release 1 be good and release 2 fail.
	failed := func(m *migrated, check bool, change failingEngine) *record.Sync {
		change.engine = engine{m.world}
		m.change = func(parts *agent.Parts) { parts.Engine = change }
		m.breaks("2")
		text := withMigrate
		if change.onlyJob {
			text = strings.Replace(text, "wave: \"1\"", "wave: \"2\"", 1)
			m.onVerify = func() {
				m.result = deploy.Result{}
				if spec := m.live["s_migrate"]; spec.TaskTemplate.ContainerSpec.Image == "app:2" && !deploy.Idle(spec) {
					m.result.Services = []deploy.ServiceResult{{Name: "s_migrate", State: deploy.Failed, Message: "its tasks keep failing"}}
				}
			}
		}
		m.release("1", configFile, m.config(check), nodeDir+"docker-compose.yml", text)
		m.start()
		m.release("2")
		m.poll()
		m.pass(time.Minute)
		return m.last()
	}
	const says = "s_migrate is scaled to 0 before the rollback: it has not succeeded, and Swarm would start it again"
	stopped := func(m *migrated, sync *record.Sync) {
		m.t.Helper()
		if got := m.wrote(audit.ScaleDown); strings.Count(got, says) != 2 || strings.Count(strings.Join(sync.Rollback.Warnings, "\n"), says) != 1 {
			m.t.Errorf("the audit log has %q, warnings %q", got, sync.Rollback.Warnings)
		}
		if !deploy.Idle(m.live["s_migrate"]) || m.image("s_migrate") != "app:2" {
			m.t.Errorf("the migration is %+v of %s", m.live["s_migrate"].Mode, m.image("s_migrate"))
		}
	}
	for name, check := range map[string]bool{"with a migration check": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			inMigratedWorlds(t, map[string]func(m *migrated){"stops": func(m *migrated) {
				sync := failed(m, check, failingEngine{})
				if sync.State != record.RolledBack || len(sync.Rollback.Left) != 1 {
					m.t.Errorf("%s: %+v", sync.State, sync.Rollback)
				}
				m.runs("1")
				stopped(m, sync)
				m.pass(time.Hour)
				if drifted := m.desk.Status().Drift; len(drifted) > 0 || m.last().ID != sync.ID {
					m.t.Errorf("drift %v, sync #%d", drifted, m.last().ID)
				}
				m.breaks()
				good := m.release("3")
				m.poll()
				m.wantLast(good, record.Succeeded)
				if m.image("s_migrate") != "app:3" || deploy.Idle(m.live["s_migrate"]) {
					m.t.Error("the next release does not run its migration")
				}
			}})
		})
	}
	inMigratedWorlds(t, map[string]func(m *migrated){
		"that migrates before": func(m *migrated) {
			sync := failed(m, true, failingEngine{onStop: func() { m.sql(insert42) }})
			m.refused(sync, "from migration 41 to 42")
			stopped(m, sync)
		},
		"whose first stop fails": func(m *migrated) {
			fails := 1
			failed(m, true, failingEngine{fails: &fails})
			m.pass(5 * time.Minute) // until it is tried again
			sync := m.last()
			if sync.State != record.RolledBack || fails > 0 || strings.Count(strings.Join(sync.Rollback.Warnings, "\n"), says) != 1 {
				m.t.Errorf("%s: %+v", sync.State, sync.Rollback)
			}
			m.runs("1")
		},
		"before the others are written": func(m *migrated) {
			sync := failed(m, true, failingEngine{onlyJob: true})
			if sync.State != record.RolledBack {
				m.t.Errorf("%s: %+v", sync.State, sync.Rollback)
			}
			stopped(m, sync)
		},
		"of a job mode": func(m *migrated) {
			sync := failed(m, true, failingEngine{lasting: true})
			m.refused(sync, "s_migrate has not succeeded, and Swarm will start it again", "docker service rm s_migrate")
		},
		"of a job mode, without a check": func(m *migrated) {
			sync := failed(m, false, failingEngine{lasting: true})
			if sync.State != record.RolledBack || !strings.Contains(strings.Join(sync.Rollback.Warnings, "\n"), "`docker service rm s_migrate` stops it") {
				m.t.Errorf("%s: %+v", sync.State, sync.Rollback)
			}
		},
	})
}
