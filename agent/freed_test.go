package agent_test

import (
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
)

// A commit that ends the wait of a stack for another one, which fails with it, is held all the same,
// until a user approves it.
func TestFreedStackWaits(t *testing.T) {
	inWorld(t, func(w *world) {
		threeStacks(w)
		w.failsWith("platform_db", "db:2")
		platform, db := w.edit("platform", "db", "db:2")
		business, web := w.edit("business", "web", "app:2")
		sly := w.commit("sly", configFile, layers("{name: system}", "{name: platform}", "{name: business, waits_for: []}"), platform, db, business, web)
		w.poll()
		held := w.lastOf("business", sly, record.Waiting)
		if w.image("business_web") != "app:1" || !strings.Contains(held.Waiting, "the stack platform, for which this commit no longer has it wait, and which failed") {
			t.Errorf("business runs %s: %s", w.image("business_web"), held.Waiting)
		}
		if next := w.of("business").Status().Next; !strings.Contains(next, "`agent approve --stack business ") {
			t.Errorf("next: %s", next)
		}
		if _, err := w.of("business").Approve(person, request.Approve{Commit: sly, Reason: "checked"}); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Second)
		w.lastOf("business", sly, record.Succeeded)
		if w.image("business_web") != "app:2" {
			t.Error("business was not rolled out after the approval")
		}
	})
}
