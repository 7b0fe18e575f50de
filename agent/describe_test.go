package agent

import (
	"strings"
	"testing"
	"unicode/utf8"

	"coin.internal/coin-agent/agent/state"
)

func TestDescription(t *testing.T) {
	const place = "environments/sandbox/nodes/node3/docker-compose.yml:7: "
	long := strings.Repeat("ы", 300)
	tests := []struct {
		name string
		sync state.Sync
		want string
	}{
		{"pending", state.Sync{State: state.Pending, Summary: "about to apply: 1 service to create"}, "about to apply: 1 service to create"},
		{"waiting", state.Sync{State: state.Waiting, Waiting: "auto_deploy is off; `agent sync` on the node rolls it out"}, "waiting: auto_deploy is off; `agent sync` on the node rolls it out"},
		{"running", state.Sync{State: state.Running, Summary: "x"}, "rolling out"},
		{"succeeded", state.Sync{State: state.Succeeded, Summary: "2 services updated"}, "2 services updated"},
		{"superseded", state.Sync{State: state.Superseded, Summary: "superseded by 1234567890"}, "superseded by 1234567890"},
		{"failed", state.Sync{State: state.Failed, Stage: "render", Error: place + "no", Hint: "do"}, "render: " + place + "no (do)"},
		{"no remedy", state.Sync{State: state.RolledBack, Stage: "verify", Error: "no"}, "verify: no"},
		{
			"place shortened",
			state.Sync{State: state.Failed, Stage: "load", Error: place + long[:340], Hint: strings.Repeat("h", 40)},
			"load: docker-compose.yml:7: " + long[:340] + " (" + strings.Repeat("h", 40) + ")",
		},
		{
			"message cut",
			state.Sync{State: state.Failed, Stage: "load", Error: place + long, Hint: "do"},
			"load: docker-compose.yml:7: " + strings.Repeat("ы", 221) + "… (do)",
		},
		{"both cut", state.Sync{State: state.Failed, Stage: "load", Error: long, Hint: long}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := description(&test.sync, "sandbox/node3")
			if test.want != "" && got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
			if n := utf8.RuneCountInString(got); n > maxDescription || test.want == "" && n != maxDescription {
				t.Errorf("%d characters: %q", n, got)
			}
			if !utf8.ValidString(got) {
				t.Errorf("not UTF-8: %q", got)
			}
		})
	}
}
