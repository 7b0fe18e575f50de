package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/internal/waitfor"
)

// TestDrift changes the stack behind the agent's back.
func TestDrift(t *testing.T) {
	l, first := newSmallLab(t)
	l.running(first)
	labels := `{environment="sandbox",node="node3"}`
	drifted := func(n int) string { return fmt.Sprintf("coin_agent_drifted_services%s %d", labels, n) }
	hasDrifted := func(s report.Status) bool { return len(s.Drift) > 0 }

	l.step("metrics and health", func() {
		for _, path := range []string{"/healthz", "/readyz"} {
			waitfor.NoError(l.t, patience, func() error { // a busy engine answers late
				if code, body := l.get(path); code != http.StatusOK {
					return fmt.Errorf("%s answers %d: %s", path, code, body)
				}
				return nil
			})
		}
		for _, line := range []string{
			"deployment_status" + labels + " 1",
			`deployment_version{environment="sandbox",node="node3",release="1"} 1`,
			"coin_agent_in_sync" + labels + " 1", drifted(0), "coin_agent_poll_errors_total" + labels + " 0",
			"coin_agent_undelivered_reports" + labels + " 0",
			`coin_agent_phase_duration_seconds_count{environment="sandbox",node="node3",phase="verify"} 1`,
		} {
			l.metric(line)
		}
	})
	l.step("reported, not corrected", func() {
		before := l.recorder.Writes()
		l.swarm.Docker(l.t, "", "service", "update", "--detach", "--env-add", "BY_HAND=1", l.stack+"_worker")
		status := l.until("drifted", hasDrifted)
		if step := status.Drift[0]; step.Name != l.stack+"_worker" || len(status.Drift) != 1 {
			l.t.Errorf("drifted: %+v", status.Drift)
		}
		l.mustRun(exitDifferent, []string{"drifted", "env BY_HAND"}, "status")
		l.metric(drifted(1))
		l.metric("coin_agent_in_sync" + labels + " 0")
		l.looks(2)
		if after := l.recorder.Writes(); len(after) != len(before) {
			l.t.Errorf("a drift that is to be reported was corrected: %v", after)
		}
		l.mustRun(exitDone, []string{"updated"}, "sync", "--wait")
		l.mustRun(exitDone, []string{"in sync"}, "status")
		l.metric(drifted(0))
		l.metric("coin_agent_in_sync" + labels + " 1")
	})
	l.step("removed by hand", func() {
		l.swarm.Docker(l.t, "", "service", "rm", l.stack+"_web", l.stack+"_worker")
		l.until("drifted", func(s report.Status) bool { return len(s.Drift) == 2 })
		l.mustRun(exitDifferent, []string{"\nweb      0/1    drifted: removed", "\nworker   0/1    drifted: removed"}, "status")
		l.mustRun(exitDone, []string{"2 services created"}, "sync", "--wait")
		l.mustRun(exitDone, []string{"in sync"}, "status")
	})
	l.step("corrected where config.yml says so", func() {
		config := strings.Replace(l.smallRepo()["environments/sandbox/config.yml"], "deployment:", "drift: correct\ndeployment:", 1)
		l.await(l.commit("correct drift", map[string]string{"environments/sandbox/config.yml": config}), record.Succeeded)
		l.swarm.Docker(l.t, "", "service", "scale", "--detach", l.stack+"_worker=3")
		l.until("corrected", func(s report.Status) bool { return s.Sync.Trigger == "drift" && s.InSync })
		if replicas := l.replicas("worker"); replicas != 1 {
			l.t.Errorf("the worker is still scaled to %d", replicas)
		}
		syncs := decode[[]record.Sync](l.t, l.mustRun(exitDone, nil, "history", "-o", "json"))
		if !slices.ContainsFunc(syncs, func(s record.Sync) bool { return s.Trigger == "drift" && s.Summary != "" }) {
			l.t.Errorf("the history tells nothing of the drift: %+v", syncs)
		}
	})
}
