package page_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/anchor"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/policy"
)

// text gives what a page says, without its elements.
func text(t *testing.T, w *world, path string) string {
	t.Helper()
	return strings.Join(strings.Fields(tags.ReplaceAllString(get(t, w.handler(), path).Body.String(), " ")), " ")
}

func wantText(t *testing.T, got string, want []string, never ...string) {
	t.Helper()
	for _, one := range want {
		if !strings.Contains(got, one) {
			t.Errorf("the page does not say %q: %s", one, got)
		}
	}
	for _, one := range never {
		if strings.Contains(got, one) {
			t.Errorf("the page says %q: %s", one, got)
		}
	}
}

// Only a rollout that runs has progress: after it the services that were not ready are those
// of a sync that is over. Its gates wait for nothing.
func TestRolloutThatIsOver(t *testing.T) {
	w := madeWorld(t, "web", 1, 1)
	w.status.Sync.State = record.Running
	wantText(t, text(t, w, "/"), []string{"0 of 1 services ready"}, "were not ready in sync")
	w.status.Sync.State = record.RolledBack
	w.status.Sync.Error, w.status.Sync.Faults = "web crashed", nil
	wantText(t, text(t, w, "/"), []string{"Services that were not ready in sync #1", "Why sync #1 was rolled back ! web crashed"}, "services ready", "✕ web crashed")
	w.syncs[0].State = record.Superseded
	wantText(t, text(t, w, "/syncs/1"), []string{"– approval waited: web"}, "for 1", "! approval")
	w.syncs[0].State = record.Waiting
	wantText(t, text(t, w, "/syncs/1"), []string{"! approval web for "})
}

// The overview names what `agent status` names: what others do not take, and warnings.
func TestWhatIsWrong(t *testing.T) {
	w := madeWorld(t, "web", 1, 1)
	s := &w.status
	s.PollError, s.Sync.State, s.Sync.Warnings = "", record.Succeeded, []string{"w1", "w2", "w3", "w4", "w5"}
	s.Sync.Degraded, s.Sync.Rollback = "web", &record.Rollback{Refused: "a migration is newer", Hint: "decide"}
	s.GitLab = &gitlab.Health{LastError: "502 Bad Gateway", Undelivered: 2, Refused: &gitlab.Refusal{Reason: "401", Report: gitlab.Report{State: gitlab.Success, Commit: "1234567890ab"}}}
	s.Anchors = []anchor.Health{{Place: "syslog", Error: "no answer", Left: 4}, {Place: "gitlab"}}
	s.Notices = &notify.Health{Receivers: []notify.Condition{{Kind: "slack", Address: "slack.example", Problem: &notify.Problem{Error: "no route"}}}}
	s.Policy = &policy.State{Error: "line 3"}
	wantText(t, text(t, w, "/"), []string{
		"not rolled back: a migration is newer decide", "GitLab: 502 Bad Gateway; 2 reports not delivered", "syslog: 4 entries of the audit log not anchored: no answer",
		"no route", "The policy was not reloaded: line 3",
		"Warnings ! w1 ! w2 ! w3 ! 2 more warnings agent show 1 lists them", policy.Warning, "GitLab refused the status success of 1234567890: 401",
	}, "gitlab: 0 entries")
}

// broken is a world whose history cannot be read.
type broken struct{ *world }

func (broken) Page(record.Query) (record.Page, error) {
	return record.Page{}, errors.New("sync #3: bad")
}

// What cannot be read of the records hides neither the verdict nor the services.
func TestUnreadableRecords(t *testing.T) {
	w := madeWorld(t, "web", 1, 1)
	w.history, w.status.Sync.State = broken{w}, record.Waiting
	w.syncs[0].State, w.syncs[0].Plan = record.Waiting, []byte("{")
	wantText(t, text(t, w, "/"), []string{"DEGRADED", "Services 1", "the history cannot be shown: sync #3: bad", "the plan cannot be shown"}, "Not shown")
}

// Events have an age: those of last week are not read as those of today.
func TestAgeOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := get(t, hostileWorld(t).handler(), "/").Body.String()
		_, list, _ := strings.Cut(body, `<ol class="events">`)
		list, _, _ = strings.Cut(list, "</ol>")
		if strings.Count(list, "<li>") != 2 || strings.Count(list, "s ago</time>") != 2 || !strings.Contains(list, time.Now().UTC().Format(`title="2006-01-02`)) {
			t.Errorf("got %s", list)
		}
	})
}

// A log keeps its columns.
func TestLogLines(t *testing.T) {
	w := madeWorld(t, "web", 1, 1)
	w.lines = []deploy.LogLine{{At: at, Task: "web.1", Stream: "stderr", Text: "panic:\tx\n"}, {At: at, Text: "    at  main()  \x1b[1m\r\n"}, {At: at, Text: strings.Repeat("ü", 5000)}}
	body := get(t, w.handler(), "/services/web/logs?failed=1").Body.String()
	for _, want := range []string{">panic:    x<", `>    at  main()  \x1b[1m<`, ">" + strings.Repeat("ü", 999) + "…<", `<span aria-current="true">Failed tasks</span>`} {
		if !strings.Contains(body, want) {
			t.Errorf("the log lacks %s", want)
		}
	}
}

// Failed services with all their output, long errors and plans share the room of one page.
func TestFailureIsBounded(t *testing.T) {
	for _, text := range []string{strings.Repeat(`"`, 1500), strings.Repeat("\u202e", 1500), "short"} {
		w := madeWorld(t, text, 200, 30)
		last := &w.syncs[len(w.syncs)-1]
		results := w.status.Rollout.Services
		for i := range results {
			for range 10 {
				results[i].Health, results[i].Logs = append(results[i].Health, text), append(results[i].Logs, text)
			}
		}
		for range 20 {
			last.Faults, last.Warnings = append(last.Faults, record.Fault{Error: text, Hint: text}), append(last.Warnings, text)
		}
		w.status.Sync, w.status.Rollout = last.Brief(), &report.Rollout{Started: at, Services: results}
		last.Services = encoded(t, results)
		for _, path := range []string{"/", "/syncs/latest", "/plan"} {
			body := get(t, w.handler(), path).Body.String()
			if len(body) > 300_000 || !strings.Contains(body, "</html>") {
				t.Errorf("%.10q: %s has %d bytes", text, path, len(body))
			}
			if text == "short" && path != "/plan" && !strings.Contains(body, "180 more services are not ready") {
				t.Errorf("%s does not say how many services are left out", path)
			}
		}
	}
}
