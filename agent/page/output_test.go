package page_test

import (
	"fmt"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
)

// The newest lines of a failed service are shown however much its health check printed, and
// what is left out is counted.
func TestOutputOfAFailedService(t *testing.T) {
	lines := func(name string, number int) (all []string) {
		for i := range number {
			all = append(all, fmt.Sprintf("%s %d.", name, i+1))
		}
		return all
	}
	for name, test := range map[string]struct {
		health, logs      []string
		shown, left, says string
	}{
		"both":   {append([]string{"exit code 1"}, lines("health", 10)...), lines("log", 10), "exit code 1|health 7.|health 10.|log 6.|log 10.", "health 6.|log 5.", "(11 earlier lines are left out"},
		"health": {append([]string{"exit code 1"}, lines("health", 3)...), nil, "exit code 1|health 1.|health 3.", "", ""},
		"log":    {nil, lines("log", 5), "log 1.|log 5.", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := madeWorld(t, "x", 1, 1)
			w.status.Sync.State = record.Running
			w.status.Rollout = &report.Rollout{Services: []deploy.ServiceResult{{Name: "coin_web", State: deploy.Failed, Health: test.health, Logs: test.logs}}}
			body := get(t, w.handler(), "/").Body.String()
			for want := range strings.SplitSeq(test.shown, "|") {
				if !strings.Contains(body, want) {
					t.Errorf("it lacks %q", want)
				}
			}
			for gone := range strings.SplitSeq(test.left, "|") {
				if gone != "" && strings.Contains(body, gone) {
					t.Errorf("it has %q", gone)
				}
			}
			if !strings.Contains(body, test.says) || test.says == "" && strings.Contains(body, "left out") {
				t.Errorf("it does not say %q", test.says)
			}
		})
	}
}
