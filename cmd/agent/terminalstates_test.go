package main

import (
	"fmt"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
)

// terminalState is a state of a node, and what its status has to answer on any terminal.
type terminalState struct {
	name            string
	change          func(s *report.Status, now time.Time)
	what, why, next string // parts of lines, short enough for 60 columns
}

// terminalStates are the states that a user can meet.
var terminalStates = []terminalState{
	{"insync", func(*report.Status, time.Time) {}, "HEALTHY", "in sync with 79f141c9f3", "nothing to do"},
	{"rolling", func(s *report.Status, now time.Time) {
		s.InSync, s.Sync.State, s.Sync.Stage, s.Sync.Finished, s.Sync.Summary = false, record.Running, "verify", time.Time{}, ""
		s.Rollout = &report.Rollout{Started: now.Add(-150500 * time.Millisecond), Until: now.Add(149500 * time.Millisecond)}
		for i, one := range s.Services {
			result := deploy.ServiceResult{Name: one.Name, State: deploy.Converged, Ready: one.Running, Want: one.Desired}
			if i%4 == 3 {
				result.State, result.Ready, result.Message = deploy.Pending, 0, "0 of 2 tasks run"
			}
			s.Rollout.Services = append(s.Rollout.Services, result)
		}
		s.Rollout.Services[3].Error = `starting container failed: OCI runtime create failed: exec: "/opt/coin/bin/server": no such file or directory`
	}, "79f141c9f3 is running", "OCI runtime create failed", "wait"},
	{"failedbefore", func(s *report.Status, _ time.Time) {
		s.InSync, s.Applied.Commit = false, "28615bff1c00"
		s.Sync.State, s.Sync.Stage, s.Sync.Summary = record.Failed, "render", ""
		s.Sync.Error = "environments/production/nodes/node3/docker-compose.yml:117: the variable TAG_PDF_RENDERER is not set and has no default"
		s.Sync.Hint = "set TAG_PDF_RENDERER in node.env, or add a default: ${TAG_PDF_RENDERER:-value}"
	}, "FAILED, nothing changed", "TAG_PDF_RENDERER is not set", "fix or revert it by a merge"},
	{"failedafter", func(s *report.Status, now time.Time) {
		s.InSync, s.Applied.Commit = false, "28615bff1c00"
		s.Sync.State, s.Sync.Stage, s.Sync.Summary, s.Sync.Wrote = record.Failed, "verify", "", true
		s.Sync.Error, s.Sync.Hint = "service coin_pdf-renderer: task: non-zero exit (3); its tasks keep failing (3 times) (on dkapp3)", "docker service logs coin_pdf-renderer"
		s.Sync.Rollback = &record.Rollback{To: 10, Auto: true, Finished: now, Refused: "migrations 42, 43 lie between", Hint: "decide what becomes of them"}
		s.Rollout = &report.Rollout{Services: []deploy.ServiceResult{{
			Name: "coin_pdf-renderer", State: deploy.Failed, Want: 2, Node: "dkapp3",
			Logs: []string{"renderer: error: open /fonts: permission denied", "renderer: exits with 3"},
		}, {
			Name: "coin_service-04", State: deploy.Pending, Want: 2, Logs: []string{"a log of a service that is healthy now"},
		}}}
		s.Services[1].Running = 0
		s.Health = degraded(now, health.Unhealthy, 0)
	}, "UNHEALTHY", "its tasks keep failing", "decide how to continue"},
	{"degraded", func(s *report.Status, now time.Time) {
		s.Services[1].Running = 1
		s.Health = degraded(now, health.Degraded, 1)
		s.Sync.Warnings = []string{"one", "two"}
	}, "DEGRADED", "exit 3, 6 restarts in 10 min", "docker service ps --no-trunc"},
	{"waiting", func(s *report.Status, now time.Time) {
		s.InSync, s.Applied.Commit = false, "28615bff1c00"
		s.Sync.State, s.Sync.Stage, s.Sync.Finished, s.Sync.Summary = record.Waiting, "gate", time.Time{}, "will apply: 1 service to update"
		s.Sync.Waiting = "approval of !17 by one of ada, bob"
		s.Sync.Gates = []record.Gate{{Name: "approval", Waiting: "approval of !17 by one of ada, bob", Since: now.Add(-150 * time.Minute)}}
	}, "79f141c9f3 is waiting", "approval of !17 by one of ada, bob", "approve its merge request"},
	{"rolledback", func(s *report.Status, now time.Time) {
		s.InSync, s.Applied.Commit = false, "28615bff1c00"
		s.Sync.State, s.Sync.Stage, s.Sync.Error = record.RolledBack, "verify", "check orders (GET https://api.coin.example/orders/health): got status 503, want 200"
		s.Sync.Summary = "rolled back to 1.4 (sync #10)"
		s.Sync.Rollback = &record.Rollback{To: 10, Auto: true, Finished: now}
		s.Pinned = &report.Pinned{To: 10, Commit: "28615bff1c00", Release: "1.4", Since: time.Date(2026, 11, 29, 3, 14, 0, 0, time.UTC), By: audit.Agent()}
	}, "rolled back to 28615bff1c", "got status 503", "fix or revert the release"},
	{"enginegone", func(s *report.Status, now time.Time) {
		s.InSync, s.Observed = false, now.Add(-150*time.Second)
		s.Unknown = &report.Unknown{Since: s.Observed, Why: string(deploy.Hangs)}
		s.PollError, s.PollHint = "list services: the engine at unix:///var/run/docker.sock does not answer within 12s", "systemctl status docker"
	}, "UNKNOWN for 2 min", "does not answer", "agent doctor"},
	{"enginegonelater", func(s *report.Status, now time.Time) { // what failed before takes a small terminal
		s.InSync, s.Observed = false, now.Add(-150*time.Second)
		s.Unknown = &report.Unknown{Since: s.Observed, Why: string(deploy.Hangs)}
		s.PollError, s.PollHint = "list services: the engine at unix:///var/run/docker.sock does not answer within 12s", "find out what blocks it: `journalctl -u docker`; if it stays so, `systemctl restart docker`"
		s.Sync.State, s.Sync.Stage, s.Sync.Summary, s.Sync.Wrote, s.Sync.Code = record.Failed, "verify", "", true, "verify"
		s.Sync.Error, s.Sync.Hint = "service coin_pdf-renderer: task: non-zero exit (3); Swarm paused the update (on dkapp3)", "its last lines are in `agent status`; the rest: docker service logs coin_pdf-renderer; or roll back: agent rollback"
		s.Services[1].Running, s.Services[1].UpdateState, s.Services[1].Message = 1, "paused", "update paused due to failure or early termination of task e0jc9xcsjuu6tdr0ihehn2pnl"
	}, "UNKNOWN for 2 min", "Swarm paused the update", "agent doctor"},
	{"scaled", func(s *report.Status, now time.Time) {
		s.InSync = false
		s.Services[1].Running, s.Services[1].Desired, s.Services[1].Declared = 0, 0, 2
		s.Drift = []deploy.Step{{Action: deploy.Update, Kind: deploy.Service, Name: "coin_pdf-renderer", Changes: []deploy.Change{{Path: "Mode.Replicated.Replicas", Old: "0", New: "2"}}}}
		s.Health = &health.Verdict{State: health.Unhealthy, All: 16, Run: 15, Services: []health.Service{{
			Name: "coin_pdf-renderer", Short: "pdf-renderer", State: health.Unhealthy, Desired: 2, Taken: "scaled to 0", Since: now.Add(-270 * time.Second),
		}}}
	}, "UNHEALTHY", "pdf-renderer 0/2 (scaled to 0 in the engine)", "agent sync"},
	{"down", nil, "the agent does not run", "applied", "systemctl start coin-agent"},
}

func degraded(now time.Time, state health.State, running uint64) *health.Verdict {
	return &health.Verdict{State: state, All: 16, Run: 15, Services: []health.Service{{
		Name: "coin_pdf-renderer", Short: "pdf-renderer", State: state, Running: running, Desired: 2, Restarts: 6, ExitCode: 3,
		Error: "task: non-zero exit (3)", Node: "dkapp3", Since: now.Add(-270 * time.Second),
	}}}
}

// terminalStatus is the status of a node with 16 services in a state. Its times are such that
// what is shown of them does not change while the test runs.
func terminalStatus(state terminalState, now time.Time) report.Status {
	status := wellStatus(now)
	status.Environment, status.Stack = "production", "coin"
	status.Desired.Subject = "release 1.5: renders invoices with the new fonts, and asks the warehouse again"
	status.Applied.At, status.Sync.Started, status.Sync.Finished = now.Add(-330*time.Second), now.Add(-390*time.Second), now.Add(-330*time.Second)
	status.Observed, status.LastLook, status.NextPoll = now.Add(-150*time.Second), now.Add(-150*time.Second), now.Add(150*time.Second)
	status.Services = nil
	for i := range 16 {
		name := fmt.Sprintf("coin_service-%02d", i)
		if i == 1 {
			name = "coin_pdf-renderer"
		}
		status.Services = append(status.Services, deploy.ServiceStatus{
			Name: name, Image: "registry.coin.example/coin/backend/production-services/" + name[5:] + ":2026.11.29-79f141c9f3", Running: 2, Desired: 2, Changed: now.Add(-330 * time.Second),
		})
	}
	status.Health = &health.Verdict{State: health.Healthy, All: 16, Run: 16}
	if state.change != nil {
		state.change(&status, now)
	}
	status.Next = report.NextFor(&status)
	return status
}
