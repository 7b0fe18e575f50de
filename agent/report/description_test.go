package report_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

func TestDescription(t *testing.T) {
	const place = "environments/sandbox/nodes/node3/docker-compose.yml:7: "
	long := strings.Repeat("ы", 300)
	tests := []struct {
		name string
		sync record.Sync
		want string
	}{
		{"pending", record.Sync{State: record.Pending, Summary: "about to apply: 1 service to create"}, "about to apply: 1 service to create"},
		{"waiting", record.Sync{State: record.Waiting, Waiting: "auto_deploy is off; `agent sync` on the node rolls it out"}, "waiting: auto_deploy is off; `agent sync` on the node rolls it out"},
		{"running", record.Sync{State: record.Running, Summary: "x"}, "rolling out"},
		{"succeeded", record.Sync{State: record.Succeeded, Summary: "2 services updated"}, "2 services updated"},
		{"superseded", record.Sync{State: record.Superseded, Summary: "superseded by 1234567890"}, "superseded by 1234567890"},
		{"failed", record.Sync{State: record.Failed, Stage: "render", Error: place + "no", Hint: "do"}, "render: " + place + "no (do)"},
		{"no remedy", record.Sync{State: record.RolledBack, Stage: "verify", Error: "no"}, "verify: no"},
		{
			"place shortened",
			record.Sync{State: record.Failed, Stage: "load", Error: place + long[:340], Hint: strings.Repeat("h", 40)},
			"load: docker-compose.yml:7: " + long[:340] + " (" + strings.Repeat("h", 40) + ")",
		},
		{
			"message cut",
			record.Sync{State: record.Failed, Stage: "load", Error: place + long, Hint: "do"},
			"load: docker-compose.yml:7: " + strings.Repeat("ы", 221) + "… (do)",
		},
		{"both cut", record.Sync{State: record.Failed, Stage: "load", Error: long, Hint: long}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := report.Description(&test.sync, "sandbox/node3")
			if test.want != "" && got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
			if n := utf8.RuneCountInString(got); n > report.MaxDescription || test.want == "" && n != report.MaxDescription {
				t.Errorf("%d characters: %q", n, got)
			}
			if !utf8.ValidString(got) {
				t.Errorf("not UTF-8: %q", got)
			}
		})
	}
}
