package main

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/tokens"
	"coin.internal/coin-agent/deploy"
	gitsync "coin.internal/coin-agent/sync"
)

// TestStatusText holds what `agent status` shows of each state to testdata/status.
func TestStatusText(t *testing.T) {
	ada := audit.Actor{By: audit.ByUser, Name: "root", UID: "0", Login: "ada"}
	number := func(n int64) *int64 { return &n }
	tests := map[string]func(s *report.Status, now time.Time){
		"insync": func(*report.Status, time.Time) {},
		"stopped": func(s *report.Status, _ time.Time) { // after a failure that a running agent tries again
			s.Running, s.InSync = false, false
			s.Sync.State, s.Sync.Stage, s.Sync.Summary, s.Sync.Transient = record.Failed, record.StagePlan, "", true
			s.Sync.Error, s.Sync.Hint = "list services: the engine did not answer in time", "journalctl -u docker"
		},
		"paused": func(s *report.Status, now time.Time) {
			s.Pause = &record.Pause{Actor: ada, Reason: "the database is\nmoved", Since: now.Add(-time.Hour), Until: now.Add(time.Hour)}
		},
		"contested": func(s *report.Status, now time.Time) {
			s.InSync = false
			s.Drift = []deploy.Step{{Action: deploy.Update, Kind: deploy.Service, Name: "s_web", Changes: []deploy.Change{{Path: "Mode.Replicated.Replicas", Old: "9", New: "4"}}}}
			s.Contests = []drift.Contest{{Service: "s_web", Field: "Mode.Replicated.Replicas", To: "4", Times: 3, Again: now.Add(time.Hour)}}
		},
		"ignored": func(s *report.Status, _ time.Time) {
			s.Ignored = []deploy.Ignored{
				{Service: "s_web", Field: "replicas", Until: "2027-03-01", Reason: "the autoscaler sets them", Changes: []deploy.Change{{Path: "Mode.Replicated.Replicas", Old: "7", New: "4"}}},
				{Service: "s_web", Field: "labels", Reason: "the proxy's\nmark"},
			}
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
			s.Sync.Loosens = []string{"lowers approvals from 2 to 0", "removes the freeze weekend"}
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
			s.Health = &health.Verdict{State: health.Degraded, All: 2, Run: 1, Services: []health.Service{
				{Name: "s_web", Short: "web", State: health.Degraded, Running: 1, Desired: 2, Restarts: 6, ExitCode: 3, Error: "task: non-zero exit (3)"},
			}}
		},
		"failed": func(s *report.Status, _ time.Time) {
			s.InSync = false
			s.Sync.State, s.Sync.Stage, s.Sync.Error, s.Sync.Hint = record.Failed, "render", "docker-compose.yml:7: no", "do"
		},
		"manyfaults": func(s *report.Status, _ time.Time) {
			s.InSync = false
			s.Sync.State, s.Sync.Stage, s.Sync.Error = record.Failed, "render", "docker-compose.yml:1: no"
			for line := range 5 {
				s.Sync.Faults = append(s.Sync.Faults, record.Fault{Error: fmt.Sprintf("docker-compose.yml:%d: no", line+1), Hint: "do"})
			}
		},
		"rollingdrift": func(s *report.Status, now time.Time) {
			s.InSync, s.Sync.State, s.Sync.Stage, s.Sync.Finished, s.Sync.Summary = false, record.Running, "verify", time.Time{}, ""
			s.Rollout = &report.Rollout{Started: now.Add(-12 * time.Second), Services: []deploy.ServiceResult{
				{Name: "s_web", State: deploy.Pending, Want: 2, Message: "0 of 2 tasks run"},
			}}
			s.Drift = []deploy.Step{{Action: deploy.Remove, Kind: deploy.Service, Name: "s_debug"}}
			s.Services = append(s.Services,
				deploy.ServiceStatus{Name: "s_cache", Image: "registry.example/app/cache:1", Desired: 1},
				deploy.ServiceStatus{Name: "s_db", Image: "registry.example/app/db:1", Running: 1, Desired: 1})
		},
		"drifted": func(s *report.Status, _ time.Time) {
			s.InSync = false
			s.Drift = []deploy.Step{{Action: deploy.Remove, Kind: deploy.Service, Name: "s_web"}}
		},
		"rolling": func(s *report.Status, now time.Time) {
			s.InSync, s.Sync.State, s.Sync.Stage, s.Sync.Finished, s.Sync.Summary = false, record.Running, "verify", time.Time{}, ""
			s.Rollout = &report.Rollout{Started: now.Add(-12 * time.Second), Services: []deploy.ServiceResult{
				{Name: "s_web", State: deploy.Pending, Want: 2, Message: "0 of 2 tasks run"}, {Name: "s_worker", State: deploy.Converged, Ready: 1, Want: 1},
			}}
		},
		"trouble": func(s *report.Status, now time.Time) {
			s.InSync, s.PollError, s.PollHint = false, "no route to host", "look at the network"
			s.Sync.State, s.Sync.Stage, s.Sync.Error, s.Sync.Transient = record.Failed, "verify", "the engine does not answer", true
			s.Sync.Warnings = []string{"one", "two", "three", "four", "five"}
			s.Rollout = &report.Rollout{Services: []deploy.ServiceResult{
				{Name: "s_web", State: deploy.Failed, Want: 2, Node: "dkapp3", Health: []string{"exit code 1", "more"}, Logs: []string{"first", "second"}},
			}}
			s.GitLab = &gitlab.Health{
				Undelivered: 2, LastError: "401 Unauthorized", Hint: "renew the token",
				Refused: &gitlab.Refusal{Report: gitlab.Report{Commit: "28615bff1c0000", State: "success"}, Reason: "the commit does not exist"},
			}
			s.Tokens = []tokens.State{
				{Setting: "gitlab_token_file", Asked: now, Scopes: []string{"read_api"}, Expires: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), Problems: []tokens.Problem{
					{Text: "the token expires 2026-12-01", Hint: "create a token", Soon: true}, {Text: "the token lacks the scope api; it has read_api", Hint: "create a token"},
				}},
				{Setting: "git_token_file", Asked: now, Unread: "GitLab's API does not know it, as it does not know deploy tokens"},
			}
			s.Notices = &notify.Health{Undelivered: 1, Dropped: 3, Receivers: []notify.Condition{{
				Kind: "slack", Address: "#ops",
				Problem: &notify.Problem{Error: "503", Hint: "wait"}, Refused: &notify.Refusal{Title: "rolled out", Reason: "no channel", Hint: "name another"},
			}}}
			s.Overdue = []inventory.Rotation{{Secret: "db", Name: "s_db.1", Created: now.Add(-100 * 24 * time.Hour), Due: now.Add(-10 * 24 * time.Hour)}}
		},
		"soaking": func(s *report.Status, now time.Time) { s.Applied.Soaking = now.Add(5 * time.Minute) },
		"unfit": func(s *report.Status, now time.Time) {
			s.Applied.Unfit, s.Sync.Degraded = "it did not stay healthy: web 1/2 (exit 3, 3 restarts in 10 min)", "web (exit 3)"
			s.Sync.Rollback = &record.Rollback{To: 10, Auto: true, Finished: now, Refused: "migrations 42, 43 lie between", Hint: "decide what becomes of them"}
			s.Health = &health.Verdict{State: health.Degraded, All: 1, Services: []health.Service{
				{Name: "s_web", Short: "web", State: health.Degraded, Running: 1, Desired: 2, Restarts: 6, ExitCode: 3},
			}}
		},
		"unknown": func(s *report.Status, now time.Time) {
			s.InSync, s.Observed, s.LastLook = false, now.Add(-100*time.Second), now.Add(-10*time.Second)
			s.Unknown = &report.Unknown{Since: s.Observed, Why: string(deploy.NoQuorum)}
			s.PollError = "the Swarm of the engine at unix:///s has lost its quorum"
			s.PollHint = "start the other managers again"
		},
		"longrollout": func(s *report.Status, now time.Time) {
			s.InSync, s.Sync.State, s.Sync.Stage, s.Sync.Finished, s.Sync.Summary = false, record.Running, "verify", time.Time{}, ""
			s.Observed = now.Add(-200 * time.Second)
			s.Unknown = &report.Unknown{Since: s.Observed, Why: "the agent has not looked at the services", Working: true}
		},
		"otherrollout": func(s *report.Status, now time.Time) {
			s.Observed = now.Add(-200 * time.Second)
			s.Unknown = &report.Unknown{Since: s.Observed, Why: "the agent has not looked at the services", Working: true, Other: "platform"}
		},
		"down": func(s *report.Status, _ time.Time) {
			s.InSync, s.Running, s.Services, s.Health = false, false, nil, nil
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				status := wellStatus(time.Now())
				change(&status, time.Now())
				status.Next = report.NextFor(&status)
				var text strings.Builder
				if err := printPage(printer{Writer: &text}, statusScreen, statusView{status: status}); err != nil {
					t.Fatal(err)
				}
				checkGolden(t, "testdata/status/"+name+".txt", text.String())
				for line := range strings.SplitSeq(text.String(), "\n") {
					if utf8.RuneCountInString(line) > 120 {
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
		Health:   &health.Verdict{State: health.Healthy, Since: now.Add(-5 * time.Minute), All: 1, Run: 1},
		Observed: now.Add(-10 * time.Second), LastLook: now.Add(-10 * time.Second), NextPoll: now.Add(20 * time.Second),
	}
}
