package record_test

import (
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/record"
)

// Those who approved are named with who vouches for the name, also in older records.
func TestPeopleOfAnApproval(t *testing.T) {
	for want, approval := range map[string]record.Approval{
		"gitlab:bob, gitlab:root":                      {Source: record.FromGitLab, By: []string{"bob", "root"}},
		`gitlab:bob, the advisory board (label "CAB")`: {Source: record.FromGitLab, By: []string{"bob", `the advisory board (label "CAB")`}},
		"local:root (ada)":                             {Source: record.FromNode, By: []string{"root (ada)"}},
		"token:ops":                                    {Source: record.FromNode, By: []string{"token:ops"}},
		"local:ada":                                    {Source: record.FromNode, By: []string{"local:ada"}},
	} {
		if got := strings.Join(approval.People(), ", "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
