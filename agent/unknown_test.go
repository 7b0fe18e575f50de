package agent_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
)

// slowEngine is the world's engine. Its reads of services end when the world lets them.
type slowEngine struct {
	engine
	hangs func(ctx context.Context) error
}

func (e slowEngine) ObserveServices(ctx context.Context, name string) (deploy.LiveServices, error) {
	if err := e.hangs(ctx); err != nil {
		return nil, err
	}
	return e.engine.ObserveServices(ctx, name)
}

func (e slowEngine) ObserveChanged(ctx context.Context, name string, _ deploy.Answer) (deploy.LiveServices, deploy.Answer, error) {
	live, err := e.ObserveServices(ctx, name)
	return live, deploy.Answer{}, err
}

// wantUnknown wants status, readiness and metrics to say why the state of the services is not
// known, and since when; "" wants it known.
func (w *world) wantUnknown(why deploy.Unusable) {
	w.t.Helper()
	status, metrics, ready := w.desk.Status(), w.scrape(), w.probe("/readyz")
	if why == "" {
		if status.Unknown != nil || !status.Healthy() || strings.Contains(metrics, "coin_agent_services_unknown{") || ready != http.StatusOK {
			w.t.Errorf("unknown: %+v, last look %q, ready %d", status.Unknown, status.PollError, ready)
		}
		w.wantMetrics(`coin_agent_healthy{environment="sandbox",node="node3"} 1`)
		return
	}
	if status.Unknown == nil || status.Unknown.Why != string(why) || time.Since(status.Unknown.Since) < 3*interval || status.InSync || status.Healthy() {
		w.t.Errorf("unknown: %+v, want %s; in sync %v, healthy %v", status.Unknown, why, status.InSync, status.Healthy())
	}
	if ready == http.StatusOK || strings.Contains(metrics, "coin_agent_healthy{") || strings.Contains(metrics, "coin_agent_service_tasks_running{") {
		w.t.Errorf("ready %d, metrics\n%s", ready, metrics)
	}
	w.wantMetrics(fmt.Sprintf(`coin_agent_services_unknown{environment="sandbox",node="node3",reason="%s"} 1`, why))
}

// A look that is older than three intervals is not a verdict. Each cause has its own words, and
// an engine that answers again is seen within an interval, however long it was away.
func TestStaleLook(t *testing.T) {
	for _, why := range []deploy.Unusable{deploy.Hangs, deploy.Down, deploy.NoManager, deploy.NoQuorum} {
		t.Run(string(why), func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.start()
				w.wantLast(w.revision.Commit, record.Succeeded)
				w.wantUnknown("")
				w.set(func() { w.engineErr = fmt.Errorf("list services: %w", why) })
				w.poll()
				if status := w.desk.Status(); status.InSync || status.Unknown != nil {
					t.Errorf("after one failed look: in sync %v, %+v", status.InSync, status.Unknown)
				}
				w.pass(3 * interval)
				w.wantUnknown(why)
				w.pass(2 * time.Hour)
				w.wantUnknown(why)
				w.set(func() { w.engineErr = nil })
				w.poll()
				w.wantUnknown("")
			})
		})
	}
}

// A read that does not end is not a verdict either, nor is the state that a restarted agent has
// from the state file.
func TestReadHangs(t *testing.T) {
	inWorld(t, func(w *world) {
		hangs := false
		w.change = func(parts *agent.Parts) {
			parts.Engine = slowEngine{engine{w}, func(ctx context.Context) error {
				w.mu.Lock()
				wait := hangs
				w.mu.Unlock()
				if wait {
					<-ctx.Done()
				}
				return ctx.Err()
			}}
		}
		w.start()
		w.wantUnknown("")
		w.set(func() { hangs = true })
		w.pass(5 * interval)
		w.wantUnknown(deploy.Hangs)
		w.halt()
		w.start()
		w.pass(4 * interval)
		w.wantUnknown(deploy.Hangs)
	})
}

// The services are looked at whatever else the agent waits for: the remote, or a gate.
func TestLooksWhileWaiting(t *testing.T) {
	inCrashingWorld(t, func(w *world, c *crashing, _ *mailbox, _ string) {
		w.set(func() { w.selectErr = errors.New("git is away") })
		w.pass(2 * time.Hour)
		seen := func(what string) {
			t.Helper()
			status := w.desk.Status()
			if status.Unknown != nil || time.Since(status.Observed) > 2*interval {
				t.Errorf("%s: %+v, looked at %s ago", what, status.Unknown, time.Since(status.Observed))
			}
		}
		seen("while the remote is away")
		c.runs(0)
		w.pass(3 * interval)
		if status := w.desk.Status(); status.Healthy() {
			t.Error("while the remote is away, a service is gone unseen")
		}
		c.runs(1)
		w.set(func() { w.selectErr = nil })
		w.pass(10 * time.Minute)
		waiting := w.commit("9", configFile, string(w.files[configFile].Data)+"approval: {required: true}\n", nodeDir+"node.env", "TAG=9\n")
		w.pass(10 * interval)
		w.wantLast(waiting, record.Waiting)
		seen("while a sync waits")
	})
}
