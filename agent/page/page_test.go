package page_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/events"
	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/page"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/deploy"
)

// world is an agent whose answers a test sets. What a page never asks is nil.
type world struct {
	control.Desk
	status report.Status
	syncs  []record.Sync // the oldest first
	lines  []deploy.LogLine
	survey inventory.Survey

	history history // nil for the syncs
}

// history is what a world has of the past.
type history interface {
	Sync(id uint64) (*record.Sync, uint64, uint64, error)
	Page(query record.Query) (record.Page, error)
}

// past gives the history.
func (w *world) past() history {
	if w.history != nil {
		return w.history
	}
	return w
}

func (w *world) Status() report.Status                             { return w.status }
func (w *world) Survey(context.Context) (*inventory.Survey, error) { return &w.survey, nil }

func (w *world) Sync(id uint64) (*record.Sync, uint64, uint64, error) {
	newest := uint64(len(w.syncs))
	if id == 0 || id > newest {
		return nil, 1, newest, nil
	}
	return &w.syncs[id-1], 1, newest, nil
}

func (w *world) Page(query record.Query) (page record.Page, err error) {
	for _, sync := range slices.Backward(w.syncs) {
		if query.Before != 0 && sync.ID >= query.Before {
			continue
		}
		if len(page.Syncs) == query.Limit {
			page.Next = sync.ID + 1
			return page, nil
		}
		page.Syncs = append(page.Syncs, sync)
	}
	return page, nil
}

func (w *world) Read(_ context.Context, asked request.Logs, each func(deploy.LogLine) error) error {
	if asked.Service == "nowhere" {
		return request.Refuse(request.NotFound, "`agent status` lists the services", "the stack has no service nowhere")
	}
	for _, line := range w.lines {
		if err := each(line); err != nil {
			return err
		}
	}
	return nil
}

// handler serves the pages of a world; what is not a page answers "api".
func (w *world) handler() http.Handler {
	ring := events.New()
	ring.Publish(events.Event{Kind: events.Outcome, Text: "sync #1 " + hostile})
	pages := &page.Pages{Version: "test", API: &control.Server{
		Desk:    func(record.StackKey) (control.Desk, error) { return w, nil },
		Logs:    func(record.StackKey) (control.Logs, error) { return w, nil },
		History: w.past(), Events: ring, Node: report.Node{Environment: "sandbox", Name: "node3"},
	}}
	return pages.Handler(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) { fmt.Fprint(out, "api") }))
}

func get(t *testing.T, handler http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1"+path, nil))
	return answer
}

// hostile is a text that would act in a browser, or mislead a reader, if it were not inert.
const hostile = "</title><script>alert(1)</script><img src=x onerror=alert(2)>\"' onload=\"x\u202egnp.exe\x1b[2J\u0000&lt;"

var at = time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)

// hostileWorld has the hostile text wherever a text comes from git, the engine or a user.
func hostileWorld(t *testing.T) *world {
	t.Helper()
	return madeWorld(t, hostile, 3, 3)
}

func encoded(tb testing.TB, value any) json.RawMessage {
	tb.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// madeWorld is a world in which every text is the given one.
func madeWorld(tb testing.TB, text string, services, syncs int) *world {
	tb.Helper()
	w := &world{status: report.Status{
		Environment: "sandbox", Node: "node3", Stack: "coin", Running: true, Observed: at, LastLook: at,
		PollError: text, PollHint: text, Tags: []string{text}, Group: text, Next: "`" + text + "`",
		Health: &health.Verdict{State: health.Degraded, Since: at},
		Pause:  &record.Pause{Reason: text, Since: at},
	}}
	plan := deploy.RecordedPlan{Stack: "coin", Warnings: []string{text}}
	var results []deploy.ServiceResult
	for i := range services {
		name := fmt.Sprintf("coin_%s%04d", text, i)
		w.status.Services = append(w.status.Services, deploy.ServiceStatus{Name: name, Image: "registry/" + text, Desired: 2, Running: 1})
		w.status.Health.Services = append(w.status.Health.Services, health.Service{Name: name, State: health.Degraded, Error: text, Since: at, Restarts: 4})
		plan.Steps = append(plan.Steps, deploy.Step{Action: deploy.Update, Kind: deploy.Service, Name: name, Changes: []deploy.Change{
			{Path: "TaskTemplate.ContainerSpec.Env[" + text + "]", Old: text, New: text + "2"},
		}})
		results = append(results, deploy.ServiceResult{Name: name, State: deploy.Failed, Want: 2, Message: text, Error: text, Health: []string{text}, Logs: []string{text}})
	}
	for i := range syncs {
		w.syncs = append(w.syncs, record.Sync{
			ID: uint64(i + 1), Commit: text, Ref: text, Author: text, Subject: text, Release: text, State: record.Failed, Stage: record.StageVerify, Started: at, Finished: at.Add(time.Minute),
			Summary: text, Error: text, Hint: text, Warnings: []string{text}, Gates: []record.Gate{{Name: record.GateApproval, Waiting: text, Since: at}},
			Seconds: map[record.Stage]float64{record.StageFetch: 1, record.StageVerify: 40},
		})
	}
	last := &w.syncs[len(w.syncs)-1]
	last.Plan, last.Services = encoded(tb, plan), encoded(tb, results)
	w.status.Sync, w.status.Drift, w.status.Rollout = last.Brief(), plan.Steps, &report.Rollout{Started: at, Services: results}
	for range 200 {
		w.lines = append(w.lines, deploy.LogLine{At: at, Task: text, Stream: "stderr", Text: text})
		old := deploy.Version{Kind: deploy.Secret, Name: text, Created: at, Kept: []string{text}}
		w.survey.Secrets = append(w.survey.Secrets, inventory.ListedSecret{Secret: text, Live: &old, Overdue: true, Due: at})
	}
	return w
}

var everyPage = []string{"/", "/plan", "/syncs", "/syncs?failed=true&service=%3Cscript%3E", "/syncs/latest", "/secrets", "/services/web/logs", "/services/nowhere/logs", "/syncs/99"}

// Texts from elsewhere are shown, and do nothing: no element and no attribute comes from
// them, and nothing in them is invisible.
func TestHostileTextsAreInert(t *testing.T) {
	handler := hostileWorld(t).handler()
	for _, path := range everyPage {
		body := get(t, handler, path).Body.String()
		for _, bad := range []string{"<script>", "<img", "\u202e", "\x1b", "\x00", "style=", "javascript:"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s has %q", path, bad)
			}
		}
		if strings.Count(body, "<script") != 1 || strings.Count(body, "</title>") != 1 {
			t.Errorf("%s has another script or title", path)
		}
	}
	if body := get(t, handler, "/").Body.String(); !strings.Contains(body, `&lt;script&gt;`) || !strings.Contains(body, `\u202e`) {
		t.Error("the text itself is not shown")
	}
}

// Every answer tells the browser to load only the agent's files, and to keep nothing.
func TestHeaders(t *testing.T) {
	handler := hostileWorld(t).handler()
	for _, path := range append(everyPage, "/assets/page.css", "/assets/page.js", "/assets/icon.svg") {
		header := get(t, handler, path).Header()
		csp := header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: no %s in %q", path, want, csp)
			}
		}
		if strings.Contains(csp, "unsafe") || header.Get("X-Content-Type-Options") != "nosniff" || header.Get("X-Frame-Options") != "DENY" || header.Get("Cache-Control") == "" {
			t.Errorf("%s: %v", path, header)
		}
	}
}

func TestAnswers(t *testing.T) {
	handler := hostileWorld(t).handler()
	for path, want := range map[string]struct {
		code int
		says string
	}{
		"/":                              {200, "Services"},
		"/?from=9999":                    {200, "DEGRADED"},
		"/?from=x":                       {200, "DEGRADED"},
		"/plan":                          {200, "Drift"},
		"/syncs?limit=1000":              {200, "History"},
		"/syncs?before=x":                {400, "before cannot be"},
		"/syncs?state=unknown":           {400, "state cannot be"},
		"/syncs/1":                       {200, "Sync #1"},
		"/syncs/99":                      {404, "no such sync"},
		"/syncs/x":                       {404, "is not a number"},
		"/secrets":                       {200, "The agent shows no value"},
		"/services/nowhere/logs":         {404, "no service nowhere"},
		"/services/web/logs":             {200, "Log of web"},
		"/assets/../page.go":             {307, ""},
		"/assets/none.css":               {404, ""},
		"/v1/status":                     {200, "api"},
		"/nothing":                       {200, "api"},
		"/services/%2e%2e%2fx/logs":      {200, "Log of ../x"},
		"/services/web/logs?failed=true": {200, "All tasks"},
	} {
		answer := get(t, handler, path)
		if answer.Code != want.code || !strings.Contains(answer.Body.String(), want.says) {
			t.Errorf("%s: got %d without %q: %.300s", path, answer.Code, want.says, answer.Body)
		}
	}
}

// A node with 1,000 services and 1,000 syncs, texts of 1 MB, and texts that grow when they
// are escaped: no page is larger than 300 kB.
func TestPagesAreBounded(t *testing.T) {
	for name, text := range map[string]string{"short": "web", "quotes": strings.Repeat(`"`, 500), "bidi": strings.Repeat("\u202e", 500)} {
		t.Run(name, func(t *testing.T) {
			w := madeWorld(t, text, 1000, 1000)
			handler := w.handler()
			for _, path := range everyPage {
				began := time.Now()
				size := get(t, handler, path).Body.Len()
				if size > 300_000 {
					t.Errorf("%s has %d bytes", path, size)
				}
				t.Logf("%-40s %7d bytes in %s", path, size, time.Since(began).Round(time.Millisecond))
			}
		})
	}
	w := madeWorld(t, "web", 2, 2)
	long := strings.Repeat("<\u202e", 1<<18) // 1 MB
	w.lines[0].Text, w.status.PollError, w.syncs[1].Subject = long, long, long
	for _, path := range everyPage {
		if size := get(t, w.handler(), path).Body.Len(); size > 300_000 {
			t.Errorf("with a text of 1 MB, %s has %d bytes", path, size)
		}
	}
}
