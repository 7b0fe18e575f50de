package metrics_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// monitoring is the folder with what is shipped for monitoring.
const monitoring = "../../packaging/monitoring/"

// tool runs one of Prometheus' tools in that folder.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = monitoring
	output, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("%s %v: %v\n%s", name, args, err, output)
	}
	return string(output)
}

// glob lists files of the folder; there are some.
func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(monitoring + pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v, %v", pattern, names, err)
	}
	return names
}

func read(t *testing.T, names ...string) string {
	t.Helper()
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

// TestAlertsFire has Prometheus' own tool evaluate the rules over time. Each alert has a test in
// which it fires.
func TestAlertsFire(t *testing.T) {
	for _, name := range glob(t, "rules/*.test.yml") {
		tool(t, "promtool", "test", "rules", strings.TrimPrefix(name, monitoring))
	}
	tests := read(t, glob(t, "rules/*.test.yml")...)
	for _, alert := range regexp.MustCompile(`(?m)- alert: (\w+)$`).FindAllStringSubmatch(read(t, monitoring+"rules/coin-agent.yml", monitoring+"rules/application.yml"), -1) {
		if !regexp.MustCompile(`alertname: ` + alert[1] + `\n +exp_alerts:`).MatchString(tests) {
			t.Errorf("no test has %s fire", alert[1])
		}
	}
}

// TestPrometheusConfig demands that Prometheus accepts its configuration, the rules and the
// lists of targets.
func TestPrometheusConfig(t *testing.T) {
	tool(t, "promtool", "check", "config", "--syntax-only", "prometheus.yml")
	tool(t, "promtool", "check", "rules", "rules/coin-agent.yml", "rules/application.yml")
	for _, name := range glob(t, "targets/*.yml") {
		var targets []struct {
			Targets []string
			Labels  map[string]string
		}
		if err := yaml.Unmarshal([]byte(read(t, name)), &targets); err != nil || len(targets) == 0 || targets[0].Labels["node"] == "" {
			t.Errorf("%s: %+v, %v", name, targets, err)
		}
	}
}

// TestAlertmanagerRoutes demands that Alertmanager accepts its configuration, and sends alerts
// where docs/monitoring.md says.
func TestAlertmanagerRoutes(t *testing.T) {
	tool(t, "amtool", "check-config", "alertmanager.yml")
	for labels, want := range map[string]string{
		"severity=critical environment=production": "pagerduty,slack-production",
		"severity=warning environment=production":  "slack-production",
		"severity=critical environment=sandbox":    "slack-sandbox",
		"severity=critical environment=testing":    "slack",
		"alertname=CoinAgentDown":                  "slack",
	} {
		args := append([]string{"config", "routes", "test", "--config.file=alertmanager.yml", "--verify.receivers=" + want}, strings.Fields(labels)...)
		if output := tool(t, "amtool", args...); !strings.Contains(output, want) {
			t.Errorf("%s goes to %s, want %s", labels, output, want)
		}
	}
}
