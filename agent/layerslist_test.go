package agent_test

import (
	"testing"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
)

// A tag that a user asks for one of several stacks does not change the list: the other stacks are
// kept in sync, and the agent looks no more often than it should.
func TestListOfAChosenTag(t *testing.T) {
	following(t, func(r *releases) {
		one, db := r.edit("platform", "db", "db:0")
		first := r.commit("1", configFile, layers("{name: platform}")+"approval: {required: true}\n", one, db)
		r.tag("2026-01-01-a", first)
		two, web := r.edit("business", "web", "app:1")
		_, newer := r.edit("platform", "db", "db:1")
		second := r.commit("2", configFile, layers("{name: platform}", "{name: business, waits_for: []}")+"approval: {required: true}\n", two, web, one, newer)
		r.tag("2026-01-02-a", second)
		r.start()
		for _, key := range []record.StackKey{"platform", "business"} {
			if _, err := r.of(key).Approve(person, request.Approve{Commit: second, Reason: "checked"}); err != nil {
				r.t.Fatal(err)
			}
			r.pass(time.Second)
			r.lastOf(key, second, record.Succeeded)
		}
		granted, err := r.of("platform").GrantSync(person, request.Sync{To: "2026-01-01-a"})
		if _, err := run(r.t.Context(), func(string) {}, granted, err); err != nil {
			r.t.Fatal(err)
		}
		r.pass(time.Second)
		r.lastOf("platform", first, record.Waiting)
		looks := len(r.looks)
		r.poll()
		if keys := r.agent.Stacks(); len(keys) != 2 || len(r.looks) > looks+2 {
			r.t.Errorf("stacks %v after %d looks", keys, len(r.looks)-looks)
		}
	})
}
