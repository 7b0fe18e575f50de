package agent_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	gitsync "coin.internal/coin-agent/sync"
)

// approveOf approves what a commit has a stack do.
func (w *world) approveOf(stack record.StackKey, commit string) {
	w.t.Helper()
	if _, err := w.of(stack).Approve(person, request.Approve{Commit: commit, Reason: "it moved"}); err != nil {
		w.t.Fatal(err)
	}
	w.pass(time.Second)
}

// A freeze holds the removal of a stack like a rollout, also over a restart during which the remote
// is away: one that the commit brings, which is not rolled out yet.
func TestRemovalInAFreeze(t *testing.T) {
	inWorld(t, func(w *world) {
		threeStacks(w)
		w.commit("prune", configFile, layers("{name: system}", "{name: platform}", "{name: business, prune: true}"))
		w.poll()
		until := time.Now().Add(10 * time.Minute).UTC()
		path, proxy := w.edit("system", "proxy", "proxy:2") // waits, too
		other, db := w.edit("platform", "db", "db:2")
		off := w.commit("off", configFile, layers("{name: system}", "{name: platform}")+
			"freeze: [{name: holidays, from: 2000-01-01T00:00:00Z, to: "+until.Format(time.RFC3339)+"}]\n", path, proxy, other, db)
		w.poll()
		w.lastOf("system", off, record.Waiting)
		w.approveOf("business", off)
		wants := func() {
			t.Helper()
			if next := w.of("business").Status().Next; w.image("business_web") != "app:1" || !strings.Contains(next, "frozen until") || !strings.Contains(next, "holidays") {
				t.Errorf("in the freeze business runs %q, next: %s", w.image("business_web"), next)
			}
		}
		wants()
		w.halt()
		w.set(func() { w.selectErr, w.fetchErr = gitsync.ErrUnreachable, gitsync.ErrUnreachable })
		w.start()
		w.poll()
		if next := w.of("business").Status().Next; w.image("business_web") != "app:1" || !strings.Contains(next, "until the commit that waits is read") {
			t.Errorf("before the commit is read business runs %q, next: %s", w.image("business_web"), next)
		}
		w.set(func() { w.selectErr, w.fetchErr = nil, nil })
		w.poll()
		wants()
		w.pass(time.Until(until) + time.Second)
		w.poll()
		if keys := w.agent.Stacks(); len(keys) != 2 || w.image("business_web") != "" {
			t.Errorf("after the freeze: stacks %v, business runs %q", keys, w.image("business_web"))
		}
		var needing []string // a rollback to these may need what business leaves
		for _, one := range w.departed.Others {
			needing = append(needing, one.Stack)
		}
		if slices.Sort(needing); !slices.Equal(slices.Compact(needing), []string{"platform", "system"}) {
			t.Errorf("business was removed beside the good states of %v", needing)
		}
	})
}

// A user has the removal of a stack not wait for the end of a freeze: with the approval or after it.
func TestRemovalOverridesAFreeze(t *testing.T) {
	for name, later := range map[string]bool{"at once": false, "later": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				threeStacks(w)
				w.commit("prune", configFile, layers("{name: system}", "{name: platform}", "{name: business, prune: true}"))
				w.poll()
				off := w.commit("off", configFile, layers("{name: system}", "{name: platform}")+
					"freeze: [{name: holidays, from: 2000-01-01T00:00:00Z, to: 2000-12-31T00:00:00Z}]\n")
				w.poll()
				if later {
					w.approveOf("business", off)
					w.poll()
					if next := w.of("business").Status().Next; w.image("business_web") != "app:1" || w.wrote(audit.Override) != "" ||
						!strings.Contains(next, "`agent approve "+record.Short(off)+" --stack business --override-freeze --reason …`") {
						t.Fatalf("in the freeze business runs %q, next: %s; the audit log has %q", w.image("business_web"), next, w.wrote(audit.Override))
					}
				}
				_, err := w.of("business").Approve(person, request.Approve{Commit: off, OverrideFreeze: true})
				refuses(t, err, "reason")
				_, err = w.of("system").Approve(person, request.Approve{Commit: off, Reason: "the disk is full", OverrideFreeze: true})
				refuses(t, err, "only the removal of a stack")
				if _, err := w.of("business").Approve(person, request.Approve{Commit: off, Reason: "the disk is full", OverrideFreeze: true}); err != nil {
					t.Fatal(err)
				}
				w.pass(time.Second)
				if keys := w.agent.Stacks(); len(keys) != 2 || w.image("business_web") != "" {
					t.Errorf("stacks %v, business runs %q", keys, w.image("business_web"))
				}
				said := w.wrote(audit.Override)
				if !strings.Contains(said, "the disk is full") || strings.Count(w.wrote(audit.Approve), "remove the stack") != 1 {
					t.Errorf("the audit log has %q and %q", said, w.wrote(audit.Approve))
				}
			})
		})
	}
}

// What another stack's service uses of a removed stack goes once it is not used. Until then it is
// named, and holds no other removal.
func TestRestOfARemoval(t *testing.T) {
	inWorld(t, func(w *world) {
		threeStacks(w)
		w.commit("prune", configFile, layers("{name: system}", "{name: platform, prune: true}", "{name: business, prune: true}"))
		w.poll()
		off := w.commit("off", configFile, layers("{name: system}"))
		w.poll()
		w.set(func() { w.kept = []string{"network data, which system_proxy uses"} })
		w.approveOf("business", off)
		for range 3 {
			w.poll()
		}
		if left := w.of("business").Status(); w.image("business_web") != "" || left.Left == nil || !left.Left.Rest || !strings.Contains(left.Next, "network data, which system_proxy uses") {
			t.Fatalf("business runs %q: %+v, next: %s", w.image("business_web"), left.Left, left.Next)
		}
		w.set(func() { w.kept = nil })
		w.halt()
		w.start()
		w.approveOf("platform", off)
		w.poll()
		if listed := len(w.agent.Stacks()); listed != 1 || w.image("platform_db") != "" {
			t.Errorf("%d stacks, platform runs %q", listed, w.image("platform_db"))
		}
		if _, err := w.agent.Desk("business"); err == nil {
			t.Error("business is still there")
		}
		var whole, removed int
		if err := w.audit.Read(func(entry audit.Entry) {
			if entry.Action == audit.Remove && entry.Kind == audit.Stack && entry.Name == "business" {
				whole++
				if entry.Outcome == audit.Succeeded {
					removed++
				}
			}
		}); err != nil || removed != 2 || whole != 3 {
			t.Errorf("%d entries about the stack, %d of them of success, %v", whole, removed, err)
		}
	})
}

// An object that stays in use is not tried again in each turn.
func TestBusyRemovalWaits(t *testing.T) {
	inWorld(t, func(w *world) {
		threeStacks(w)
		w.commit("prune", configFile, layers("{name: system}", "{name: platform}", "{name: business, prune: true}"))
		w.poll()
		off := w.commit("off", configFile, layers("{name: system}", "{name: platform}"))
		w.poll()
		w.set(func() { w.busy = []string{"network business_default, which is still in use"} })
		w.approveOf("business", off)
		for range 100 {
			w.poll()
		}
		if tries := w.removals; tries < 5 || tries > 20 {
			t.Errorf("%d tries in 100 turns", tries)
		}
	})
}
