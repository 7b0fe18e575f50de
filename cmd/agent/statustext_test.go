package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
	gitsync "coin.internal/coin-agent/sync"
)

// TestStatusText holds what `agent status` shows of each state to testdata/status.
func TestStatusText(t *testing.T) {
	ada := audit.Actor{By: audit.ByUser, Name: "root", UID: "0", Login: "ada"}
	number := func(n int64) *int64 { return &n }
	tests := map[string]func(s *report.Status, now time.Time){
		"insync": func(*report.Status, time.Time) {},
		"paused": func(s *report.Status, now time.Time) {
			s.Pause = &record.Pause{Actor: ada, Reason: "the database is\nmoved", Since: now.Add(-time.Hour), Until: now.Add(time.Hour)}
		},
		"group": func(s *report.Status, _ time.Time) { s.Group = "not complete: node1 says pending" },
		"waiting": func(s *report.Status, now time.Time) {
			s.InSync = false
			s.Sync.State, s.Sync.Stage, s.Sync.Finished, s.Sync.Summary = record.Waiting, "gate", time.Time{}, "about to apply: 1 service to update"
			s.Sync.Waiting = "approval of !17 by one of ada, bob; frozen until Mon 08:00 UTC: weekend"
			s.Sync.Gates = []record.Gate{
				{Name: "freeze", Waiting: "frozen until Mon 08:00 UTC: weekend", Since: now.Add(-3 * time.Hour), Until: now.Add(time.Hour)},
				{Name: "approval", Waiting: "approval of !17 by one of ada, bob", Since: now.Add(-3 * time.Hour)},
				{Name: "order", Passed: "node1 has it"},
			}
		},
		"pinned": func(s *report.Status, now time.Time) {
			s.InSync = false
			s.Sync.State, s.Sync.Trigger, s.Sync.Actor, s.Sync.Summary = record.RolledBack, "rollback", ada, "rolled back to 1.4 (sync #10) by root (ada): orders fail"
			s.Sync.Rollback = &record.Rollback{To: 10, Finished: now}
			s.Pinned = &report.Pinned{To: 10, Commit: "28615bff1c00", Release: "1.4", Since: now.Add(-20 * time.Minute), By: ada, Reason: "orders fail"}
		},
		"automatic": func(s *report.Status, now time.Time) {
			s.InSync = false
			s.Sync.State, s.Sync.Stage, s.Sync.Error, s.Sync.Hint = record.RolledBack, "verify", "service s_web: task: non-zero exit (3)", "docker service logs s_web"
			s.Sync.Summary = "rolled back to 1.4 (sync #10)"
			s.Sync.Rollback = &record.Rollback{To: 10, Auto: true, Finished: now}
			s.Pinned = &report.Pinned{To: 10, Commit: "28615bff1c00", Release: "1.4", Since: now.Add(-20 * time.Minute), By: audit.Agent()}
		},
		"refused": func(s *report.Status, now time.Time) {
			s.InSync = false
			s.Sync.State, s.Sync.Stage, s.Sync.Error, s.Sync.Wrote = record.Failed, "verify", "check health (GET https://x): got status 503, want 200", true
			s.Sync.Migration = &record.Migration{Table: "schema_migrations", Before: number(41), After: number(43)}
			s.Sync.Rollback = &record.Rollback{To: 10, Auto: true, Finished: now, Refused: "migrations 42, 43 lie between", Hint: "decide what becomes of them"}
		},
		"lacking": func(s *report.Status, _ time.Time) {
			s.Services = []deploy.ServiceStatus{
				{Name: "s_migrate", Image: "registry.example/app/web:1.5", Desired: 1, OneShot: true},
				{Name: "s_web", Image: "registry.example/app/web:1.5", Running: 1, Desired: 2},
			}
		},
		"failed": func(s *report.Status, _ time.Time) {
			s.InSync = false
			s.Sync.State, s.Sync.Stage, s.Sync.Error, s.Sync.Hint = record.Failed, "render", "docker-compose.yml:7: no", "do"
		},
		"drifted": func(s *report.Status, _ time.Time) {
			s.InSync = false
			s.Drift = []deploy.Step{{Action: deploy.Remove, Kind: deploy.Service, Name: "s_web"}}
		},
		"down": func(s *report.Status, _ time.Time) { s.InSync, s.Running, s.Services = false, false, nil },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				status := wellStatus(time.Now())
				change(&status, time.Now())
				status.Next = report.NextFor(&status)
				var text strings.Builder
				printStatus(printer{Writer: &text}, status)
				checkGolden(t, "testdata/status/"+name+".txt", text.String())
				for _, line := range strings.Split(text.String(), "\n") {
					if len(line) > 110 {
						t.Errorf("too long for a screen: %s", line)
					}
				}
			})
		})
	}
}

// wellStatus is that of a node where all is well.
func wellStatus(now time.Time) report.Status {
	return report.Status{
		Environment: "sandbox", Node: "node3", Stack: "s", Running: true, InSync: true, Started: now.Add(-time.Hour),
		Desired: &gitsync.Revision{Commit: "79f141c9f3d1", Ref: "master", Author: "Ada <ada@coin.example>", Subject: "release"},
		Applied: &report.AppliedStatus{Commit: "79f141c9f3d1", Release: "1.5", At: now.Add(-5 * time.Minute)},
		Sync: &record.Sync{
			ID: 12, Commit: "79f141c9f3d1", Ref: "master", Trigger: "commit", State: record.Succeeded,
			Started: now.Add(-6 * time.Minute), Finished: now.Add(-5 * time.Minute), Summary: "1 service updated",
		},
		Services: []deploy.ServiceStatus{{Name: "s_web", Image: "registry.example/app/web:1.5", Running: 2, Desired: 2}},
		LastLook: now.Add(-10 * time.Second), NextPoll: now.Add(20 * time.Second),
	}
}
