package page_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
)

var tags = regexp.MustCompile(`<[^>]*>`)

// rows gives the cells of each row of a table of a page, by its class.
func rows(body, class string) (all [][]string) {
	_, table, _ := strings.Cut(body, `<table class="`+class+`">`)
	table, _, _ = strings.Cut(table, "</table>")
	_, table, _ = strings.Cut(table, "<tbody>")
	for row := range strings.SplitSeq(table, "<tr>") {
		var cells []string
		for cell := range strings.SplitSeq(row, "</t") {
			if text := strings.Join(strings.Fields(tags.ReplaceAllString("<t"+cell, " ")), " "); text != "" && text != "<t" {
				cells = append(cells, text)
			}
		}
		if len(cells) > 0 {
			all = append(all, cells)
		}
	}
	return all
}

// seen is a world of services, each in another state.
func seen(t *testing.T) *world {
	t.Helper()
	w := madeWorld(t, "x", 0, 1)
	now := time.Now().UTC()
	w.status.Observed, w.status.Drift, w.status.PollError = now, nil, ""
	for _, one := range []deploy.ServiceStatus{
		{Name: "coin_calm", Running: 2, Desired: 2, Changed: now.Add(-72 * time.Hour)},
		{Name: "coin_back", Running: 2, Desired: 2, Changed: now.Add(-72 * time.Hour)},
		{Name: "coin_loop", Running: 1, Desired: 1, Changed: now.Add(-72 * time.Hour)},
		{Name: "coin_both", Running: 1, Desired: 1, UpdateState: "updating", Changed: now.Add(-72 * time.Hour)},
	} {
		one.Image = "registry.example/coin/" + one.Name + ":1"
		w.status.Services = append(w.status.Services, one)
	}
	w.status.Health = &health.Verdict{
		State: health.Degraded, Since: now, All: 4, Run: 4,
		Services: []health.Service{
			{Name: "coin_loop", State: health.Degraded, Restarts: 4, Error: "exit 3", Since: now.Add(-5 * time.Minute)},
			{Name: "coin_both", State: health.Degraded, Restarts: 3, Since: now.Add(-4 * time.Minute)},
		},
		Restored: []health.Service{{Name: "coin_back", State: health.Healthy, Restarts: 1, Since: now.Add(-3 * time.Minute)}},
	}
	return w
}

func wantRows(t *testing.T, w *world, want ...string) {
	t.Helper()
	var got []string
	for _, row := range rows(get(t, w.handler(), "/").Body.String(), "services") {
		got = append(got, strings.Join(row, " | "))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Each service has its restarts, and since when its tasks are what they are; a service that
// is updated or drifted and crashes is as bad as one that only crashes.
func TestServices(t *testing.T) {
	wantRows(t, seen(t),
		"loop | ✕ degraded exit 3 | 1/1 | 5m | 4 in 10 min | coin_loop:1 | Log",
		"both | ✕ updating | 1/1 | 4m | 3 in 10 min | coin_both:1 | Log",
		"calm | ✓ running | 2/2 | 3d | none | coin_calm:1 | Log",
		"back | ✓ running | 2/2 | 3m | 1 in 10 min | coin_back:1 | Log",
	)
}

// What nobody has seen for too long is not shown as if it were so now.
func TestServicesThatAreNotSeen(t *testing.T) {
	w := seen(t)
	w.status.Observed = time.Now().Add(-time.Hour - time.Minute)
	w.status.Unknown = &report.Unknown{Since: w.status.Observed, Why: "the engine does not answer"}
	wantRows(t, w,
		"loop | – last seen degraded exit 3 | 1/1 | 5m | 4 in 10 min | coin_loop:1 | Log",
		"both | – last seen updating | 1/1 | 4m | 3 in 10 min | coin_both:1 | Log",
		"calm | – last seen running | 2/2 | 3d | none | coin_calm:1 | Log",
		"back | – last seen running | 2/2 | 3m | 1 in 10 min | coin_back:1 | Log",
	)
	body := tags.ReplaceAllString(get(t, w.handler(), "/").Body.String(), " ")
	for _, want := range []string{"UNKNOWN for 1 h: the engine does not answer", "The services were last seen 61m ago"} {
		if !strings.Contains(strings.Join(strings.Fields(body), " "), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}
