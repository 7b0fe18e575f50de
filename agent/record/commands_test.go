package record_test

import (
	"testing"

	"coin.internal/coin-agent/agent/record"
)

func TestCommandsOfAStack(t *testing.T) {
	for text, want := range map[string]string{
		"`agent retry` tries it again":            "`agent retry --stack platform` tries it again",
		"`agent approve 1a2b3c4 --reason …`":      "`agent approve --stack platform 1a2b3c4 --reason …`",
		"`agent secrets list`, or `agent logs x`": "`agent secrets list --stack platform`, or `agent logs --stack platform x`",
		"`agent rollback --stack system --to 3`":  "`agent rollback --stack system --to 3`",
		"`agent status` and `agent show 3`":       "`agent status` and `agent show 3`",
		"`agent syncing`; a user ran agent sync":  "`agent syncing`; a user ran agent sync",
	} {
		if got := record.StackKey("platform").In(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
		for _, only := range []record.StackKey{"", record.OnlyStack} {
			if got := only.In(text); got != text {
				t.Errorf("on a node with one stack %q becomes %q", text, got)
			}
		}
	}
}
