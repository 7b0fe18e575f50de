package agent_test

import (
	"slices"
	"testing"
	"time"

	"coin.internal/coin-agent/agent"
)

// TestFirstLook waits with the first look, and then looks at the interval.
func TestFirstLook(t *testing.T) {
	inWorld(t, func(w *world) {
		w.change = func(parts *agent.Parts) { parts.FirstLook = 20 * time.Second }
		began := time.Now()
		w.start()
		var looks []time.Time
		seen := func() { looks = slices.Clone(w.looks) }
		w.pass(19 * time.Second)
		if w.set(seen); len(looks) != 0 {
			t.Errorf("a look after %s", looks[0].Sub(began))
		}
		w.pass(time.Second)
		w.poll()
		if w.set(seen); len(looks) < 2 || looks[0].Sub(began) != 20*time.Second {
			t.Errorf("looks %v after %v", looks, began)
		}
	})
}
