package events_test

import (
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/events"
)

// TestTexts publishes more than is allocated at once: no event changes the texts of another.
func TestTexts(t *testing.T) {
	ring, text := events.New(), func(i int) string { return strings.Repeat(string(rune('a'+i%26)), 1+i%400) }
	for i := range events.Kept {
		ring.Publish(events.Event{Kind: events.Write, Commit: text(i + 1), Service: text(i + 2), Text: text(i)})
	}
	all := ring.Since("").Events
	if len(all) != events.Kept {
		t.Fatalf("%d events", len(all))
	}
	for i, one := range all {
		if one.Text != text(i) || one.Commit != text(i+1) || one.Service != text(i+2) {
			t.Fatalf("event %d has the texts %q, %q and %q", i, one.Text, one.Commit, one.Service)
		}
	}
}
