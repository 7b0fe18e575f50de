package agent_test

import (
	"testing"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
)

// twoFollowing is a world whose node has two stacks and follows tags. Each tag changes both.
func twoFollowing(t *testing.T, test func(r *releases)) {
	t.Helper()
	following(t, func(r *releases) {
		r.commit("two", configFile, layers("{name: platform}", "{name: business, waits_for: []}"))
		r.both("2026-01-10", "1")
		r.start()
		r.wantBoth("2026-01-10", "1")
		test(r)
	})
}

// both puts a tag on a commit that changes both stacks.
func (r *releases) both(tag, version string) (commit string) {
	r.t.Helper()
	platform, db := r.edit("platform", "db", "db:"+version)
	business, web := r.edit("business", "web", "app:"+version)
	commit = r.commit(version, nodeDir+"node.env", "TAG="+version+"\n", platform, db, business, web)
	r.tag(tag, commit)
	return commit
}

// wantBoth checks what both stacks run, and that their last syncs are of one tag.
func (r *releases) wantBoth(tag, version string) {
	r.t.Helper()
	for _, key := range []record.StackKey{"platform", "business"} {
		if last, err := r.store.Stack(key).LastSync(); err != nil || last == nil || last.Ref != tag {
			r.t.Errorf("the last sync of %s is not of %s (%v)", key, tag, err)
		}
	}
	if db, web := r.image("platform_db"), r.image("business_web"); db != "db:"+version || web != "app:"+version {
		r.t.Errorf("%s and %s run, want version %s", db, web, version)
	}
}

// TestStacksFollowOneTag deletes a tag that one of two stacks has rolled out: the other one, which
// waits, follows it as well, and both the next one.
func TestStacksFollowOneTag(t *testing.T) {
	twoFollowing(t, func(r *releases) {
		if _, err := r.of("business").Pause(person, request.Pause{Reason: "weekend"}); err != nil {
			t.Fatal(err)
		}
		second := r.both("2026-02-10", "2")
		r.poll()
		r.lastOf("platform", second, record.Succeeded)
		r.lastOf("business", second, record.Waiting)
		r.tag("2026-02-10", "")
		r.poll()
		r.halt()
		r.start()
		r.poll()
		r.lastOf("business", second, record.Waiting)
		if _, err := r.of("business").Resume(t.Context(), person, request.Resume{}); err != nil {
			t.Fatal(err)
		}
		r.poll()
		r.wantBoth("2026-02-10", "2")
		r.both("2026-03-10", "3")
		r.poll()
		r.wantBoth("2026-03-10", "3")
	})
}

// TestStacksFollowOneTagAfterAFailure deletes a tag that failed in one of two stacks before it
// wrote anything there.
func TestStacksFollowOneTagAfterAFailure(t *testing.T) {
	twoFollowing(t, func(r *releases) {
		platform, db := r.edit("platform", "db", "db:2")
		second := r.commit("2", platform, db, nodeDir+"business/docker-compose.yml", "services: {web: {image: \"$NOWHERE\"}}\n")
		r.tag("2026-02-10", second)
		r.poll()
		r.lastOf("platform", second, record.Succeeded)
		failed := r.lastOf("business", second, record.Failed)
		r.tag("2026-02-10", "")
		r.poll()
		r.poll()
		if last := r.lastOf("business", second, record.Failed); last.ID != failed.ID {
			t.Errorf("the failed tag was tried again: %+v", last)
		}
		r.both("2026-03-10", "3")
		r.poll()
		r.wantBoth("2026-03-10", "3")
	})
}

// TestTagIsWithdrawnOfTwoStacks deletes a tag that waits in both stacks.
func TestTagIsWithdrawnOfTwoStacks(t *testing.T) {
	twoFollowing(t, func(r *releases) {
		keys := []record.StackKey{"platform", "business"}
		for _, key := range keys {
			if _, err := r.of(key).Pause(person, request.Pause{Reason: "weekend"}); err != nil {
				t.Fatal(err)
			}
		}
		second := r.both("2026-02-10", "2")
		r.poll()
		r.lastOf("business", second, record.Waiting)
		r.tag("2026-02-10", "")
		r.poll()
		for _, key := range keys {
			if _, err := r.of(key).Resume(t.Context(), person, request.Resume{}); err != nil {
				t.Fatal(err)
			}
		}
		r.poll()
		r.wantBoth("2026-01-10", "1")
	})
}

// TestStackLedElsewhere has a user lead one of two stacks to another tag. It stays there, and the
// other one where it is, until a newer tag comes.
func TestStackLedElsewhere(t *testing.T) {
	twoFollowing(t, func(r *releases) {
		r.both("2026-02-10", "2")
		r.poll()
		r.wantBoth("2026-02-10", "2")
		granted, err := r.of("business").GrantSync(person, request.Sync{To: "2026-01-10"})
		if _, err = run(r.t.Context(), func(string) {}, granted, err); err != nil {
			t.Fatal(err)
		}
		r.tag("2026-02-10", "")
		r.poll()
		if db, web := r.image("platform_db"), r.image("business_web"); db != "db:2" || web != "app:1" {
			t.Errorf("%s and %s run", db, web)
		}
		r.both("2026-03-10", "3")
		r.poll()
		r.wantBoth("2026-03-10", "3")
	})
}
