package manifests_test

import (
	"strings"
	"testing"
	"time"
)

func TestFrozen(t *testing.T) {
	const weekend = `freeze: [{name: weekend, schedule: "0 18 * * FRI", duration: 62h, time_zone: Europe/Amsterdam}]`
	tests := []struct {
		name, keys, at, until string // until is "" if no freeze is active
	}{
		{"before", weekend, "2026-11-20T16:59:59Z", ""},
		{"at its beginning", weekend, "2026-11-20T17:00:00Z", "Mon 2026-11-23 08:00 CET"},
		{"just before its end", weekend, "2026-11-23T06:59:59Z", "Mon 2026-11-23 08:00 CET"},
		{"at its end", weekend, "2026-11-23T07:00:00Z", ""},
		{"in summer", weekend, "2026-07-03T16:00:00Z", "Mon 2026-07-06 08:00 CEST"},
		{"not yet in summer", weekend, "2026-07-03T15:59:59Z", ""},
		{"over the end of summer time", weekend, "2026-10-25T12:00:00Z", "Mon 2026-10-26 08:00 CET"},
		{"at the end over the end of summer time", weekend, "2026-10-26T06:59:59Z", "Mon 2026-10-26 08:00 CET"},
		{"after it", weekend, "2026-10-26T07:00:00Z", ""},
		{"over the beginning of summer time", weekend, "2026-03-29T12:00:00Z", "Mon 2026-03-30 08:00 CEST"},
		{"after that", weekend, "2026-03-30T06:00:00Z", ""},
		{
			"from an hour that is left out", `freeze: [{name: f, schedule: "30 2 * * *", duration: 4h, time_zone: Europe/Amsterdam}]`,
			"2026-03-29T03:00:00Z", "Sun 2026-03-29 06:30 CEST",
		},
		{
			"from the hour that comes twice, the first time", `freeze: [{name: f, schedule: "30 2 25 10 *", duration: 30m, time_zone: Europe/Amsterdam}]`,
			"2026-10-25T00:30:00Z", "Sun 2026-10-25 03:00 CET",
		},
		{
			"and without a gap", `freeze: [{name: f, schedule: "30 2 25 10 *", duration: 30m, time_zone: Europe/Amsterdam}]`,
			"2026-10-25T01:10:00Z", "Sun 2026-10-25 03:00 CET",
		},
		{
			"to the hour that comes twice, the last time", `freeze: [{name: f, schedule: "30 0 1 11 *", duration: 1h, time_zone: America/New_York}]`,
			"2026-11-01T06:10:00Z", "Sun 2026-11-01 01:30 EST",
		},
		{
			"one after another", `freeze: [{name: f, schedule: "0 0 * * SAT,SUN", duration: 24h}]`,
			"2026-11-21T10:00:00Z", "Mon 2026-11-23 00:00 UTC",
		},
		{
			"each minute of two months, for a month", `freeze: [{name: f, schedule: "* * * 10,11 *", duration: 744h}]`,
			"2026-10-02T00:00:00Z", "Thu 2026-12-31 23:59 UTC",
		},
		{
			"once", `freeze: [{name: holidays, from: 2026-12-23T18:00:00+01:00, to: "2027-01-04T08:00:00+01:00", time_zone: Europe/Amsterdam}]`,
			"2026-12-31T23:00:00Z", "Mon 2027-01-04 08:00 CET",
		},
		{"once, before", `freeze: [{name: holidays, from: 2026-12-23T18:00:00+01:00, to: 2027-01-04T08:00:00+01:00}]`, "2026-12-23T16:59:59Z", ""},
		{"of another node", `freeze: [{name: f, schedule: "* 0-22 * * *", duration: 30m, nodes: [node4]}]`, "2026-11-21T10:00:00Z", ""},
		{
			"that which ends last", `freeze: [{name: a, schedule: "0 0 * * *", duration: 12h}, {name: b, schedule: "0 1 * * *", duration: 12h}]`,
			"2026-11-21T10:00:00Z", "Sat 2026-11-21 13:00 UTC",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config, err := loadConfig("sandbox", twoNodes+test.keys+"\n")
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, test.at)
			if err != nil {
				t.Fatal(err)
			}
			frozen, is := config.Frozen("node3", at)
			got := ""
			if is {
				got = frozen.Until.Format("Mon 2006-01-02 15:04 MST")
			}
			if got != test.until {
				t.Errorf("frozen until %q, want %q", got, test.until)
			}
		})
	}
}

const twoNodes = `environment: {name: sandbox, type: non-production}
nodes: [{name: node3, context: a, stack: s}, {name: node4, context: b, stack: s}]
`

func TestFreezeIsRefused(t *testing.T) {
	for keys, want := range map[string]string{
		`{name: f}`: "needs either schedule and duration, or from and to",
		`{name: f, schedule: "0 0 * * *", duration: 1h, from: 2026-01-01T00:00:00Z, to: 2026-01-02T00:00:00Z}`: "needs either schedule and duration, or from and to",
		`{name: f, schedule: "0 0 * * *"}`:                                                                                           "only one of the two keys",
		`{name: f, from: 2026-01-01T00:00:00Z}`:                                                                                      "only one of the two keys",
		`{name: f, from: 2026-01-02T00:00:00Z, to: 2026-01-01T00:00:00Z}`:                                                            "ends before it begins",
		`{name: f, from: 2026-01-02, to: 2026-01-03T00:00:00Z}`:                                                                      "want a time such as",
		`{name: f, schedule: "@daily", duration: 1h}`:                                                                                "want five cron fields",
		`{name: f, schedule: "0 0 0 * * *", duration: 1h}`:                                                                           "want five cron fields",
		`{name: f, schedule: "TZ=UTC 0 * * *", duration: 1h}`:                                                                        "want five cron fields",
		`{name: f, schedule: "61 0 * * *", duration: 1h}`:                                                                            "want five cron fields",
		`{name: f, schedule: "0 0 30 2 *", duration: 1h}`:                                                                            "the day does not exist",
		`{name: f, schedule: "0 0 * * *", duration: 800h}`:                                                                           "longer than 31 days",
		`{name: f, schedule: "0 0 * * *", duration: 1h, time_zone: Local}`:                                                           "want a time zone",
		`{name: f, schedule: "0 0 * * *", duration: 1h, time_zone: Europe/Amsterdm}`:                                                 "want a time zone",
		`{name: f, schedule: "0 0 * * *", duration: 1h, nodes: [node5]}`:                                                             `freeze[0].nodes lists "node5", which is not a node`,
		`{name: f, schedule: "0 0 * * *", duration: 1h, nodes: [node3, node3]}`:                                                      "twice",
		`{name: f, from: 2026-01-01T00:00:00Z, to: 2999-01-01T00:00:00Z}`:                                                            "lasts longer than 366 days",
		`{name: f, schedule: "0 0 * * *", duration: 24h}`:                                                                            "freeze f never ends",
		`{name: f, schedule: "* * * * *", duration: 1m}`:                                                                             "freeze f never ends",
		`{name: f, schedule: "0 0 1 * *", duration: 744h, time_zone: Europe/Amsterdam}`:                                              "freeze f never ends",
		`{name: f, schedule: "0 0 * * *", duration: 24h, nodes: [node4]}`:                                                            "freeze f never ends",
		`{name: a, schedule: "0 0 * * 1", duration: 96h}, {name: b, schedule: "0 0 * * 5", duration: 72h}`:                           "freeze a, b never ends",
		`{name: a, schedule: "0 0 * * *", duration: 12h}, {name: b, schedule: "0 13 * * *", duration: 12h, time_zone: Africa/Lagos}`: "freeze a, b never ends",
		`{name: f, schedule: "0 */3 1 * FRI", duration: 200h}`:                                                                       "freeze f never ends",
		strings.Repeat(`{name: f, schedule: "* * * 11 *", duration: 744h}, `, 101):                                                   "freeze lists 101 entries, and at most 100 are read",
		`{schedule: "0 0 * * *", duration: 1h}`:                                                                                      `required key "name"`,
		`{name: f, schedule: "0 0 * * *", duration: 1h}, {name: f, schedule: "0 1 * * *", duration: 1h}`:                             `freeze lists "f" twice`,
	} {
		_, err := loadConfig("sandbox", twoNodes+"freeze: ["+keys+"]\n")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "config.yml:3") {
			t.Errorf("%s: got %v, want %q and the line", keys, err, want)
		}
	}
}

// A freeze that leaves a gap, however rare or short, ends.
func TestFreezeWithAGap(t *testing.T) {
	for _, keys := range []string{
		`{name: f, from: 2026-01-01T00:00:00Z, to: 2027-01-01T00:00:00Z}`,
		`{name: f, schedule: "0 0 * * *", duration: 23h59m}`,
		`{name: f, schedule: "0 0 * 1-11 *", duration: 24h}`,
		`{name: f, schedule: "0 0 29 2 *", duration: 744h}`,
		`{name: a, schedule: "0 0 * * 1", duration: 96h}, {name: b, schedule: "0 0 * * 5", duration: 71h}`,
		`{name: a, schedule: "0 0 * * *", duration: 12h, nodes: [node3]}, {name: b, schedule: "0 12 * * *", duration: 12h, nodes: [node4]}`,
	} {
		if _, err := loadConfig("sandbox", twoNodes+"freeze: ["+keys+"]\n"); err != nil {
			t.Errorf("%s: %v", keys, err)
		}
	}
}
