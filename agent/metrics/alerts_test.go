package metrics_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// metricsIn finds the names of the agent's own metrics in a text.
func metricsIn(text string) []string {
	names := regexp.MustCompile(`\b(coin_agent|deployment)_(\w+_)*(status|version|info|total|sync|services|seconds|reports|ok|waiting|paused|versions|working|entries|healthy|soaking|unknown|running|desired|restarts)\b`).FindAllString(text, -1)
	slices.Sort(names)
	return slices.Compact(names)
}

// TestAlertsAreOfMetrics demands that alerts.yml asks for metrics that are
// described, and that those are there.
func TestAlertsAreOfMetrics(t *testing.T) {
	read := func(names ...string) string {
		var text strings.Builder
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			text.Write(data)
		}
		return text.String()
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	sources = slices.DeleteFunc(sources, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
	code := read(sources...)
	_, described, _ := strings.Cut(read("../../docs/operations.md"), "## Metrics and health\n")
	alerts := metricsIn(read("../../docs/alerts.yml"))
	if len(alerts) < 8 {
		t.Errorf("the alerts ask for %v only", alerts)
	}
	for _, name := range alerts {
		if !strings.Contains(described, "`"+name+"`") {
			t.Errorf("%s of alerts.yml is not described", name)
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

// TestAlertsFire has Prometheus' own tool evaluate alerts.yml over time.
func TestAlertsFire(t *testing.T) {
	output, err := exec.CommandContext(t.Context(), "promtool", "test", "rules", "testdata/alerts.test.yml").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}
