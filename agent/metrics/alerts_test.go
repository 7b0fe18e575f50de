package metrics_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// metricsIn finds the names of the agent's own metrics in a text.
func metricsIn(text string) []string {
	names := regexp.MustCompile(`\b(coin_agent|deployment)_(\w+_)*(status|version|info|total|sync|services|seconds|reports|ok|waiting|paused|versions|working|entries|healthy|soaking|unknown|running|desired|restarts)(_bucket)?\b`).FindAllString(text, -1)
	for i, name := range names { // of a histogram
		names[i] = strings.TrimSuffix(name, "_bucket")
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// TestAlertsAreOfMetrics demands that rules and dashboards ask for metrics that are
// described, and that those are there.
func TestAlertsAreOfMetrics(t *testing.T) {
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	sources = slices.DeleteFunc(sources, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
	code := read(t, sources...)
	_, described, _ := strings.Cut(read(t, "../../docs/metrics.md"), "## Metrics and health\n")
	alerts := metricsIn(read(t, slices.Concat(glob(t, "rules/*.yml"), glob(t, "dashboards/*.json"))...))
	if len(alerts) < 8 {
		t.Errorf("the alerts ask for %v only", alerts)
	}
	for _, name := range alerts {
		if !strings.Contains(described, "`"+name+"`") {
			t.Errorf("%s of a rule or a dashboard is not described", name)
		}
	}
	for _, name := range metricsIn(code) {
		if !strings.Contains(described, "`"+name+"`") {
			t.Errorf("%s is not described", name)
		}
	}
	for _, name := range slices.Concat(metricsIn(described), alerts) {
		if !strings.Contains(code, `"`+name+`"`) {
			t.Errorf("there is no %s", name)
		}
	}
}
