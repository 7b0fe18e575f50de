package agent_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	gitsync "coin.internal/coin-agent/sync"
)

// releases is the world's remote with tags. A commit descends from those with a lower name.
type releases struct {
	*world
	tags []gitsync.Tag
	made map[string]fstest.MapFS // the files of each tagged commit
}

// Fetch is the remote's files of a commit.
func (r *releases) Fetch(_ context.Context, revision gitsync.Revision, _ []string) (*gitsync.Checkout, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &gitsync.Checkout{Revision: revision, FS: r.made[revision.Commit]}, nil
}

func (r *releases) Tags(context.Context, string) ([]gitsync.Tag, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looks = append(r.looks, time.Now())
	return slices.Clone(r.tags), r.selectErr
}

// tag puts a tag on a commit in place of one of the same name; "" deletes it.
func (r *releases) tag(name, commit string) {
	r.set(func() {
		r.tags = slices.DeleteFunc(r.tags, func(t gitsync.Tag) bool { return t.Name == name })
		if commit != "" {
			if r.made[commit] == nil {
				r.made[commit] = r.files
			}
			r.tags = append(r.tags, gitsync.Tag{Name: name, Commit: commit})
		}
	})
}

// following is a world whose node follows tags.
func following(t *testing.T, test func(r *releases)) {
	t.Helper()
	inWorld(t, func(w *world) {
		r := &releases{world: w, made: map[string]fstest.MapFS{}}
		w.older = func(old, revision string) bool { return old <= revision }
		w.change = func(parts *agent.Parts) {
			parts.Source, parts.Settings.TagPattern = r, `^\d{4}-\d{2}-\d{2}`
		}
		test(r)
	})
}

// wantRef checks which tag the last sync was of.
func (r *releases) wantRef(ref, commit string) {
	r.t.Helper()
	if last := r.wantLast(commit, record.Succeeded); last.Ref != ref {
		r.t.Errorf("the last sync is of %s, want %s", last.Ref, ref)
	}
}

// wantTold checks what a user has to know about tags: in the status, and in one notice.
func (r *releases) wantTold(words string) {
	r.t.Helper()
	told := r.desk.Status().Tags
	if words == "" && len(told) == 0 {
		return
	}
	if len(told) != 1 || !strings.Contains(told[0], words) {
		r.t.Errorf("told %q, want %q", told, words)
	}
}

// TestTagOfTheFuture pushes a tag dated 2099 on the oldest commit: it is told and not
// followed, and the next release is.
func TestTagOfTheFuture(t *testing.T) {
	following(t, func(r *releases) {
		first := r.release("1")
		r.tag("2026-01-10", first)
		r.start()
		r.wantRef("2026-01-10", first)
		second := r.release("2")
		r.tag("2026-02-10", second)
		r.poll()
		r.wantRef("2026-02-10", second)
		before := r.plans()
		r.tag("2099-01-01", first)
		r.poll()
		r.wantTold("tag 2099-01-01 is not followed")
		r.halt()
		r.start()
		r.poll()
		r.wantTold("tag 2099-01-01 is not followed")
		r.wantRef("2026-02-10", second)
		if got := r.plans(); got != before {
			t.Errorf("%d plans were applied", got-before)
		}
		r.runs("2")
		third := r.release("3")
		r.tag("2026-03-10", third)
		r.poll()
		r.wantRef("2026-03-10", third)
		r.tag("2099-01-01", "")
		r.poll()
		r.wantTold("")
	})
}

// TestTagsAreDeletedAndMoved takes the tag away that runs, and moves it.
func TestTagsAreDeletedAndMoved(t *testing.T) {
	following(t, func(r *releases) {
		first := r.release("1")
		r.tag("2026-01-10", first)
		r.start()
		second := r.release("2")
		r.tag("2026-02-10", second)
		r.poll()
		before := r.plans()
		r.tag("2026-02-10", first)
		r.poll()
		r.wantTold("tag 2026-02-10 was moved from " + record.Short(second) + " to " + record.Short(first))
		third := r.release("3")
		r.tag("2026-02-10", third)
		r.poll()
		r.wantTold("to " + record.Short(third))
		r.tag("2026-02-10", "")
		r.poll()
		r.wantTold("tag 2026-02-10 was deleted")
		r.wantRef("2026-02-10", second)
		r.runs("2")
		if status := r.desk.Status(); !status.InSync || r.plans() != before {
			t.Errorf("in sync %v, %d plans were applied", status.InSync, r.plans()-before)
		}
		if _, err := r.desk.Sync(r.t.Context(), person, func(string) {}); err != nil {
			t.Fatal(err)
		}
		r.runs("2")
	})
}

// TestTagIsWithdrawn deletes a tag whose rollout waits: it is not rolled out any more.
func TestTagIsWithdrawn(t *testing.T) {
	following(t, func(r *releases) {
		first := r.release("1")
		r.tag("2026-01-10", first)
		r.start()
		r.pause("", "weekend")
		second := r.release("2")
		r.tag("2026-02-10", second)
		r.poll()
		r.wantLast(second, record.Waiting)
		r.tag("2026-02-10", "")
		r.poll()
		if _, err := r.resume(); err != nil {
			t.Fatal(err)
		}
		r.poll()
		r.runs("1")
		if last := r.last(); last.Commit != first {
			t.Errorf("the last sync is of %s", last.Commit)
		}
	})
}

// TestUserAsksForATag rolls out an older tag for a user, and stays at it over looks, restarts
// and requests, until a newer tag comes.
func TestUserAsksForATag(t *testing.T) {
	following(t, func(r *releases) {
		first := r.release("1")
		r.tag("2026-01-10", first)
		r.start()
		second := r.release("2")
		r.tag("2026-02-10", second)
		r.poll()
		granted, err := r.desk.GrantSync(person, request.Sync{To: "2026-01-10"})
		sync, err := run(r.t.Context(), func(string) {}, granted, err)
		if err != nil || sync.Chosen == nil || sync.Chosen.Over != "2026-02-10" || sync.Chosen.Actor != person {
			t.Fatalf("%v: %+v", err, sync)
		}
		r.runs("1")
		// The request repeated: the tag that the user left stays the one to be newer than.
		granted, err = r.desk.GrantSync(person, request.Sync{To: "2026-01-10"})
		if sync, err = run(r.t.Context(), func(string) {}, granted, err); err != nil || sync.Chosen == nil || sync.Chosen.Over != "2026-02-10" {
			t.Errorf("%v: %+v", err, sync.Chosen)
		}
		if text := r.wrote(audit.Select); !strings.Contains(text, "ada") || !strings.Contains(text, `"2026-01-10", from 2026-02-10`) {
			t.Errorf("the audit log has %q", text)
		}
		r.poll()
		r.halt()
		r.start()
		if _, err := r.desk.Sync(r.t.Context(), person, func(string) {}); err != nil {
			t.Fatal(err)
		}
		r.poll()
		r.wantRef("2026-01-10", first)
		third := r.release("3")
		r.tag("2026-03-10", third)
		r.poll()
		r.wantRef("2026-03-10", third)
		r.runs("3")

		granted, err = r.desk.GrantSync(person, request.Sync{To: "v1"})
		_, err = run(r.t.Context(), func(string) {}, granted, err)
		refuses(t, err, `the remote has no tag "v1"`)
		if said := r.desk.Status().PollError; said != "" {
			t.Errorf("the status has %q", said)
		}
	})
}

// TestTagsAreToldOnce counts the notices about a tag that is not followed, over looks and
// restarts.
func TestTagsAreToldOnce(t *testing.T) {
	inMailWorld(t, "notifications: {email: [ops@example.com], on: [waiting]}\n", func(w *world, box *mailbox) {
		r := &releases{world: w, made: map[string]fstest.MapFS{}}
		w.older = func(old, revision string) bool { return old <= revision }
		w.change = func(parts *agent.Parts) {
			parts.Source, parts.Settings.TagPattern = r, `^\d{4}-\d{2}-\d{2}`
		}
		first := r.release("1")
		r.tag("2026-01-10", first)
		second := r.release("2")
		r.tag("2026-02-10", second)
		r.start()
		r.wantRef("2026-02-10", second)
		r.tag("2099-01-01", first)
		r.poll()
		r.poll()
		r.pass(time.Hour)
		r.halt()
		r.start()
		r.pass(time.Hour)
		box.wants(t, "tags are not followed, release 2")
	})
}
