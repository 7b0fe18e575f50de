package proposal_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/proposal"
)

// TestCompareIsBounded compares texts whose comparison takes seconds to hours. It is ended before: what
// it gives is coarse, shares no line, and has all lines of both texts.
func TestCompareIsBounded(t *testing.T) {
	const limit = 50 * time.Millisecond
	var before, after strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&before, "a%d\n", i)
		fmt.Fprintf(&after, "b%d\n", i)
	}
	tests := map[string][2]string{
		"all lines differ": {before.String(), after.String()},
		// The library keeps to no limit here: it needs 12 s.
		"one line repeated": {"p\n" + strings.Repeat("\n", 160_000) + "q\n", "x\n" + strings.Repeat("\n", 100_000) + "y\n"},
	}
	for name, texts := range tests {
		t.Run(name, func(t *testing.T) {
			old, fresh, shared := proposal.Compared(limit, texts[0], texts[1])
			if shared != 0 {
				t.Errorf("it was compared to the end: %d lines are shared", shared)
			}
			if old != texts[0] || fresh != texts[1] {
				t.Error("lines are lost")
			}
		})
	}
	if _, _, shared := proposal.Compared(time.Minute, "a\nb\nc\n", "a\nx\nc\n"); shared != 2 {
		t.Errorf("%d lines are shared", shared)
	}
}
