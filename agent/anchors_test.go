package agent_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/anchor"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/request"
)

// shelf is a place that keeps anchors.
type shelf struct {
	mu   sync.Mutex
	kept []anchor.Anchor
}

func (*shelf) String() string { return "shelf" }

func (s *shelf) Put(_ context.Context, a anchor.Anchor, _ bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, a)
	return nil
}

// Each sync that wrote anchors the head that it left, and each decision of a user; looks that
// change nothing anchor nothing. The anchors agree with the log.
func TestHeadIsAnchoredWithEachSync(t *testing.T) {
	inWorld(t, func(w *world) {
		place := &shelf{}
		end := func() {}
		w.change = func(parts *agent.Parts) {
			outbox, err := anchor.NewOutbox(anchor.Options{
				Node: "sandbox/node3", Places: []anchor.Place{place}, Store: parts.Store, Head: parts.Audit.Head, Log: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				w.t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(w.t.Context())
			ended := make(chan struct{})
			go func() { defer close(ended); _ = outbox.Run(ctx) }()
			end = func() { cancel(); <-ended }
			parts.Anchors = outbox
		}
		wantAnchors := func(n int) {
			w.t.Helper()
			synctest.Wait()
			place.mu.Lock()
			defer place.mu.Unlock()
			if len(place.kept) != n {
				w.t.Fatalf("%d anchors, want %d", len(place.kept), n)
			}
			if head := w.audit.Head(); n > 0 && (place.kept[n-1].Seq != head.Seq || place.kept[n-1].Hash != head.Hash) {
				w.t.Errorf("anchored %+v, the log ends with %+v", place.kept[n-1], head)
			}
		}
		w.after = func() { end() }
		w.start()
		wantAnchors(2) // the log's first entry, at the start, and the first sync
		w.pass(5 * time.Hour)
		w.commit("2", "README.md", "new")
		w.poll()
		wantAnchors(2)
		w.commit("3", nodeDir+"node.env", "TAG=2\n")
		w.poll()
		wantAnchors(3)
		if _, err := w.desk.Pause(person, request.Pause{For: "1h", Reason: "why"}); err != nil {
			w.t.Fatal(err)
		}
		wantAnchors(4)
		if health := w.desk.Status().Anchors; len(health) != 1 || health[0].Entry != w.audit.Head().Seq || health[0].Left != 0 {
			w.t.Errorf("%+v", health)
		}
		w.halt()
		w.start()
		wantAnchors(4)
		var found []audit.Anchored
		for i, one := range place.kept {
			found = append(found, audit.Anchored{Seq: one.Seq, Hash: one.Hash, After: one.After, Note: int64(i)})
		}
		slices.Reverse(found)
		if result, err := audit.Compare(w.dir, audit.Evidence{Found: found}); err != nil || !result.Proves() || result.Left != 0 || len(result.Notes) > 0 {
			w.t.Errorf("%+v, %v", result, err)
		}
	})
}
