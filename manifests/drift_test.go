package manifests_test

import (
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/internal/fault"
)

// TestDriftIgnore says what is wrong with entries of drift_ignore.
func TestDriftIgnore(t *testing.T) {
	const hint = "did you mean \"replicas\"?"
	for entry, want := range map[string]string{
		`{service: web, fields: [replicas], until: 2027-03-01, reason: autoscaler}`:       "",
		`{service: web, fields: [replicas, image], reason: autoscaler}`:                   "",
		`{service: web, fields: [replicas], until: "2027-03-01", reason: autoscaler}`:     "",
		`{service: web, fields: [replica], reason: autoscaler}`:                           hint,
		`{service: web, fields: [replicas]}`:                                              `required key "reason" is missing`,
		`{service: web, fields: [replicas], reason: ""}`:                                  "drift_ignore[0].reason: want a text",
		`{fields: [replicas], reason: autoscaler}`:                                        `required key "service" is missing`,
		`{service: web, fields: [], reason: autoscaler}`:                                  "drift_ignore[0].fields is empty",
		`{service: web, fields: [replicas], until: 2027-02-30, reason: autoscaler}`:       "want a day such as 2027-03-01",
		`{service: web, fields: [replicas], until: soon, reason: autoscaler}`:             "want a day such as 2027-03-01",
		`{service: web, fields: [replicas, image, replicas], reason: autoscaler}`:         `drift_ignore lists "replicas of web" twice`,
		`{service: web, fields: [replicas], reasons: autoscaler, reason: an autoscaler }`: `unknown key "reasons"`,
	} {
		_, err := loadConfig("sandbox", plainConfig+"drift_ignore: ["+entry+"]\n")
		said := ""
		if err != nil {
			said = err.Error() + fault.Hint(err)
		}
		if want == "" && err != nil || !strings.Contains(said, want) {
			t.Errorf("%s: got %s, want %q", entry, said, want)
		}
	}
}

// TestDriftIgnoreWarnings warns of entries without an effect.
func TestDriftIgnoreWarnings(t *testing.T) {
	config, err := loadConfig("sandbox", plainConfig+"drift_ignore: [{service: wbe, fields: [replicas], until: 2027-03-01, reason: autoscaler}]\n")
	if err != nil {
		t.Fatal(err)
	}
	idle := config.Idle([]string{"api", "web"})
	if len(idle) != 1 || !strings.Contains(idle[0].Message, `names the service "wbe"`) || idle[0].Hint != `did you mean "web"?` || idle[0].Place.Line == 0 {
		t.Errorf("got %v", idle)
	}
	for at, want := range map[string]int{"2027-02-28T23:59:59Z": 0, "2027-03-01T00:00:00Z": 1} {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if over := config.OverIgnores(now); len(over) != want || want > 0 && !strings.Contains(over[0].Message, "no effect since 2027-03-01") {
			t.Errorf("at %s: %v", at, over)
		}
	}
}
