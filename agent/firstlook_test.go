package agent_test

import (
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
		w.pass(19 * time.Second)
		if len(w.looks) != 0 {
			t.Errorf("a look after %s", w.looks[0].Sub(began))
		}
		w.pass(time.Second)
		w.poll()
		if len(w.looks) < 2 || w.looks[0].Sub(began) != 20*time.Second {
			t.Errorf("looks %v after %v", w.looks, began)
		}
	})
}
