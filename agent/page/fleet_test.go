package page_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/events"
	"coin.internal/coin-agent/agent/fleet"
	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/page"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/internal/fault"
)

// listed is what lists the nodes, and counts how often it is asked.
type listed struct {
	asked   atomic.Int32
	takes   time.Duration
	err     error
	members []fleet.Member
}

func (l *listed) Read(ctx context.Context) ([]fleet.Member, error) {
	l.asked.Add(1)
	select {
	case <-time.After(l.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return l.members, l.err
}

func fleetHandler(t *testing.T, nodes page.Nodes) http.Handler {
	t.Helper()
	w := madeWorld(t, "web", 1, 1)
	pages := &page.Pages{Version: "test", Fleet: nodes, API: &control.Server{
		Desk: func(record.StackKey) (control.Desk, error) { return w, nil }, History: w, Events: events.New(), Node: report.Node{Environment: "sandbox", Name: "node3"},
	}}
	return pages.Handler(http.NotFoundHandler())
}

// The nodes are read when a user looks, at most every 30 seconds, however many look.
func TestFleetIsReadWhenLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := &listed{takes: time.Second, members: []fleet.Member{{Name: "node4", Source: "api", State: fleet.Failed, Verdict: "failed", Text: "apply: no " + hostile}, {Name: "node3", State: fleet.Done, Verdict: "in sync", Commit: "1234567890ab"}}}
		handler := fleetHandler(t, nodes)
		get(t, handler, "/")
		time.Sleep(time.Hour)
		if n := nodes.asked.Load(); n != 0 {
			t.Errorf("asked %d times although no user looked", n)
		}
		answers := make(chan string, 20)
		for range 20 {
			go func() { answers <- get(t, handler, "/fleet").Body.String() }()
		}
		for range 20 {
			body := <-answers
			if !strings.Contains(body, "✕") || !strings.Contains(body, `<a href="/">node3</a>`) || !strings.Contains(body, "1234567890<") || !strings.Contains(body, "in GitLab and from 1 agent ") || strings.Contains(body, "<img") {
				t.Fatalf("got %s", body)
			}
		}
		for range 10 {
			time.Sleep(2 * time.Second)
			get(t, handler, "/fleet")
		}
		if n := nodes.asked.Load(); n != 1 {
			t.Errorf("asked %d times within 30 seconds", n)
		}
		time.Sleep(20 * time.Second)
		nodes.err, nodes.members = fault.New(fault.Place{}, "`agent doctor` shows more", "502"), nil
		body := get(t, handler, "/fleet").Body.String()
		for _, want := range []string{"The nodes cannot be read: 502", "<code>agent doctor</code>", "node4", "40s ago"} {
			if !strings.Contains(body, want) {
				t.Errorf("after an error the page lacks %q", want)
			}
		}
	})
}

// A node that does not answer makes a reading slow: the page shows what was read before.
func TestFleetWithASlowNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := &listed{takes: 6 * time.Second, members: []fleet.Member{{Name: "node4", State: fleet.Done, Verdict: "in sync"}}}
		handler := fleetHandler(t, nodes)
		for look, limit := range []time.Duration{7 * time.Second, 2 * time.Second, 2 * time.Second} {
			began := time.Now()
			if body := get(t, handler, "/fleet").Body.String(); !strings.Contains(body, "node4") || time.Since(began) > limit {
				t.Errorf("look %d: after %s: %s", look, time.Since(began), body)
			}
			time.Sleep(time.Minute)
		}
	})
}

// A GitLab that does not answer keeps no page waiting for long, and is asked once.
func TestFleetWithoutGitLab(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := &listed{takes: time.Hour}
		handler := fleetHandler(t, nodes)
		for range 5 {
			began := time.Now()
			body := get(t, handler, "/fleet").Body.String()
			if waited := time.Since(began); waited > 10*time.Second || !strings.Contains(body, "The nodes are not read yet") {
				t.Errorf("after %s: %s", waited, body)
			}
		}
		if n := nodes.asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
		time.Sleep(time.Minute)
		if body := get(t, handler, "/fleet").Body.String(); !strings.Contains(body, context.DeadlineExceeded.Error()) {
			t.Errorf("got %s", body)
		}
		synctest.Wait()
		time.Sleep(2 * time.Minute)
	})
	if w := get(t, fleetHandler(t, nil), "/fleet"); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "gitlab_url") {
		t.Errorf("without GitLab: %d", w.Code)
	}
	if body := get(t, fleetHandler(t, nil), "/").Body.String(); strings.Contains(body, "/fleet") {
		t.Error("a tab leads to a page that is not there")
	}
}

// A thousand nodes with long texts fit on one page.
func TestFleetIsBounded(t *testing.T) {
	nodes := &listed{err: errors.Join()}
	for i := range 1000 {
		long := strings.Repeat(`"`, 400)
		nodes.members = append(nodes.members, fleet.Member{Name: fmt.Sprint(i, long), State: fleet.Held, Verdict: long, Text: long, Error: long, Health: health.Degraded, Commit: long, Release: long})
	}
	body := get(t, fleetHandler(t, nodes), "/fleet").Body.String()
	if len(body) > 300_000 || !strings.Contains(body, "more nodes") {
		t.Errorf("%d bytes", len(body))
	}
}
