package report_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// TestParseWait reads the gates back from the descriptions of syncs that wait.
func TestParseWait(t *testing.T) {
	gate := func(name record.GateName, unattended bool) record.Gate {
		return record.Gate{Name: name, Waiting: "for it", Unattended: unattended}
	}
	passed := record.Gate{Name: record.GateRelease, Passed: "all there"}
	tests := []struct {
		name        string
		gates       []record.Gate
		description string
		user        bool
	}{
		{"approval", []record.Gate{passed, gate(record.GateApproval, false)}, "waiting for a user (approval): X", true},
		{"two that a user opens", []record.Gate{gate(record.GateApproval, false), gate(record.GateAdoption, false)}, "waiting for a user (approval, adoption): X", true},
		{"a user first", []record.Gate{gate(record.GateRelease, true), gate(record.GateAutoDeploy, false)}, "waiting for a user (auto_deploy): X", true},
		{"order", []record.Gate{passed, gate(record.GateOrder, true)}, "waiting (order): X", false},
		{"order that a user opens", []record.Gate{gate(record.GateOrder, false)}, "waiting for a user (order): X", true},
		{"freeze", []record.Gate{gate(record.GateFreeze, true)}, "waiting (freeze): X", true},
		{"pause with an end", []record.Gate{gate(record.GatePause, true), gate(record.GateRelease, true)}, "waiting (pause, release): X", true},
		{"record of an older agent", nil, "waiting: X", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sync := &record.Sync{State: record.Waiting, Waiting: "X", Gates: test.gates}
			said := report.Description(sync, "sandbox/node3")
			if said != test.description {
				t.Errorf("described as %q", said)
			}
			want := report.Wait{User: test.user, Text: "X"}
			for _, gate := range test.gates {
				if strings.Contains(test.description, string(gate.Name)) {
					want.Gates = append(want.Gates, gate.Name)
				}
			}
			got, waits := report.ParseWait(said)
			if diff := cmp.Diff(want, got); diff != "" || !waits {
				t.Errorf("read as waiting=%t (-want +got):\n%s", waits, diff)
			}
		})
	}
	for _, other := range []string{"", "about to apply: 1 service to create", "waiting (", "waiting (order)", "waiting for node3: x", "waitingly: x"} {
		if got, waits := report.ParseWait(other); waits {
			t.Errorf("%q is read as %+v", other, got)
		}
	}
}
