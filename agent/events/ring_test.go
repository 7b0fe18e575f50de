package events_test

import (
	"fmt"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/events"
)

// texts joins what a reader gets.
func texts(batch events.Batch) string {
	var all []string
	for _, event := range batch.Events {
		all = append(all, event.Text)
	}
	return strings.Join(all, ",")
}

// A reader that comes back gets what it missed, and learns when some of it is lost.
func TestSince(t *testing.T) {
	ring := events.New()
	first := ring.Since("").Events[0]
	if first.Kind != events.Restarted || first.At.IsZero() {
		t.Errorf("it begins with %+v", first)
	}
	for _, text := range []string{"a", "b", "c"} {
		ring.Publish(events.Event{Kind: events.Write, Text: text})
	}
	all := ring.Since("").Events
	for _, test := range []struct {
		after, want string
		missed      bool
	}{
		{first.ID, "a,b,c", false},
		{all[2].ID, "c", false},
		{all[3].ID, "", false},
		{events.New().Since("").Events[0].ID, "the agent has started,a,b,c", true}, // of another process
		{first.ID + "9", "the agent has started,a,b,c", true},                      // not yet
		{"nonsense", "the agent has started,a,b,c", true},
		{"; drop", "the agent has started,a,b,c", true},
	} {
		batch := ring.Since(test.after)
		if got := texts(batch); got != test.want || batch.Missed != test.missed {
			t.Errorf("after %q: %s, missed %t", test.after, got, batch.Missed)
		}
	}
	for i := range events.Kept {
		ring.Publish(events.Event{Kind: events.Write, Text: fmt.Sprint(i)})
	}
	if batch := ring.Since(all[3].ID); batch.Missed || len(batch.Events) != events.Kept {
		t.Errorf("nothing is lost yet: missed %t, %d events", batch.Missed, len(batch.Events))
	}
	if batch := ring.Since(all[2].ID); !batch.Missed || len(batch.Events) != events.Kept {
		t.Errorf("one is lost: missed %t, %d events", batch.Missed, len(batch.Events))
	}
}

// A reader is woken by each event.
func TestMore(t *testing.T) {
	ring := events.New()
	batch := ring.Since("")
	select {
	case <-batch.More:
		t.Fatal("woken without news")
	default:
	}
	ring.Publish(events.Event{Text: "news"})
	<-batch.More
	if got := texts(ring.Since(batch.Events[0].ID)); got != "news" {
		t.Errorf("got %q", got)
	}
}

// Looks that see the same do not push out what happened.
func TestLooks(t *testing.T) {
	ring := events.New()
	look := events.Event{Kind: events.Look, Text: "looked"}
	ring.Publish(look)
	seen := ring.Since("").Events[1].ID
	for range 3 * events.Kept {
		ring.Publish(look)
	}
	if batch := ring.Since(seen); batch.Missed || texts(batch) != "looked" {
		t.Errorf("missed %t, %s", batch.Missed, texts(batch))
	}
	ring.Publish(events.Event{Kind: events.Look, Text: "looked", Stack: "other"})
	ring.Publish(events.Event{Kind: events.Look, Text: "cannot look"})
	if got := texts(ring.Since("")); got != "the agent has started,looked,looked,cannot look" {
		t.Errorf("got %s", got)
	}
}

// Texts from git and the engine are harmless and bounded.
func TestHostileTexts(t *testing.T) {
	ring := events.New()
	ring.Publish(events.Event{Text: "a\x1b[2J\nid: 7\u202e" + strings.Repeat("ü", 1<<20), Service: "a\nb"})
	got := ring.Since("").Events[1]
	if !strings.HasPrefix(got.Text, `a\x1b[2J\nid: 7\u202e`) || len(got.Text) > 510 || strings.Contains(got.Text, "\ufffd") || got.Service != `a\nb` {
		t.Errorf("got %q of %q", got.Text, got.Service)
	}
}

// Without a ring nothing is published, and nothing is read.
func TestNoRing(t *testing.T) {
	var none *events.Ring
	none.Publish(events.Event{})
	if batch := none.Since("x"); len(batch.Events) != 0 || batch.Events == nil {
		t.Errorf("got %+v", batch)
	}
}
