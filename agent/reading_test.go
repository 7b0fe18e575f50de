package agent_test

import (
	"context"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/deploy"
	gitsync "coin.internal/coin-agent/sync"
)

// dies ends the agent as a kill does while it reads a revision, or none if commit is "".
func (w *world) dies(commit string) {
	w.t.Helper()
	if commit != "" {
		reading, err := w.store.Reading()
		if err != nil {
			w.t.Fatal(err)
		}
		if reading.Commit != commit {
			w.t.Fatalf("%s is read, want %s", reading.Commit, commit)
		}
		reading.Open = true
		if err := w.store.SaveReading(reading); err != nil {
			w.t.Fatal(err)
		}
	}
	w.halt()
}

// Two kills that have nothing to do with a waiting revision do not hold it: it reached its
// gate in between.
func TestKillsWhileWaiting(t *testing.T) {
	toApprove(t, "approval: {required: true}\n", func(w *world) {
		w.start()
		for range 3 {
			w.said("!12 has 0 of 1 approvals")
			w.dies(w.revision.Commit)
			w.start()
			w.poll()
		}
		w.said("!12 has 0 of 1 approvals")
	})
}

// observedSource is a repository that notes which revision is on record as read.
type observedSource struct {
	*gitsync.Repository
	note func(what string)
}

func (o observedSource) Proof(ctx context.Context, revision gitsync.Revision) (gitsync.Proof, error) {
	o.note("proof")
	return o.Repository.Proof(ctx, revision)
}

func (o observedSource) Descends(ctx context.Context, older, newer string) (bool, error) {
	o.note("descends")
	return o.Repository.Descends(ctx, older, newer)
}

func (o observedSource) Between(ctx context.Context, older, newer string, in gitsync.Inputs) ([]gitsync.Commit, error) {
	o.note("between")
	return o.Repository.Between(ctx, older, newer, in)
}

// The deaths of the agent count also while it reads a signature, or the history.
func TestDeathsBeforeTheFetch(t *testing.T) {
	inSignedWorld(t, signedConfig, func(w *signedWorld) {
		var mu sync.Mutex // a revision is fetched while the remote is asked about its history
		read := map[string]record.Reading{}
		signed := w.change
		w.change = func(p *agent.Parts) {
			signed(p)
			repository, _ := p.Source.(*gitsync.Repository)
			p.Source = observedSource{repository, func(what string) {
				found, err := p.Store.Reading()
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				read[what] = found
			}}
			p.Approvals = &merges{}
		}
		w.start()
		second := w.push(&w.ada, "2", configFile, signedConfig+"approval: {required: true}\n")
		w.poll()
		w.wantLast(second, record.Waiting)
		for _, what := range []string{"proof", "descends", "between"} {
			if got := read[what]; !got.Open || got.Commit != second {
				t.Errorf("%s: on record is %+v", what, got)
			}
		}
	})
}

// hearingEngine is an engine that notes when services are read.
type hearingEngine struct {
	engine
	note func()
}

func (e hearingEngine) ObserveChanged(ctx context.Context, name string, last deploy.Answer) (deploy.LiveServices, deploy.Answer, error) {
	e.note()
	return e.engine.ObserveChanged(ctx, name, last)
}

// An agent that ends while it reads the services did not end because of a revision whose history it
// has read in the same look.
func TestDeathsWhileServicesAreRead(t *testing.T) {
	inWorld(t, func(w *world) {
		var read []record.Reading
		w.change = func(p *agent.Parts) {
			p.Engine = hearingEngine{engine{w}, func() {
				reading, err := p.Store.Reading()
				if err != nil {
					t.Error(err)
				}
				read = append(read, reading)
			}}
		}
		w.start()
		older := w.revision
		newer := w.commit("2", nodeDir+"node.env", "TAG=2\n")
		w.poll()
		w.set(func() {
			w.revision, read = older, nil
			w.older = func(old, revision string) bool { return old == older.Commit && revision == newer }
		})
		w.poll()
		if len(read) == 0 || read[0].Commit != older.Commit || read[0].Open {
			t.Errorf("on record while services were read: %+v", read)
		}
	})
}

// A revision whose history or signature ends the agent twice is held, also if another one is
// read in between.
func TestDeathsOfTwoRevisions(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.poll()
		w.commit("2", nodeDir+"node.env", "TAG=2\n")
		second, third := w.revision.Commit, strings.Repeat("3", 40)
		if err := w.store.SaveReading(record.Reading{Commit: third, Deaths: 1, Others: map[string]int{second: 2}}); err != nil {
			t.Fatal(err)
		}
		w.halt()
		w.start()
		w.poll()
		if held := w.wantLast(second, record.Failed); !held.Held() || !strings.Contains(held.Error, "the agent ended 2 times") {
			t.Errorf("held %t: %s", held.Held(), held.Error)
		}
		reading, err := w.store.Reading()
		if err != nil || reading.Commit != third || reading.Deaths != 1 {
			t.Errorf("forgotten: %+v, %v", reading, err)
		}
	})
}

// hanging is a tree of files whose config.yml is never read to its end.
type hanging struct {
	fs.FS
	free <-chan struct{}
}

func (h hanging) Open(name string) (fs.File, error) {
	if name == configFile {
		<-h.free
	}
	return h.FS.Open(name)
}

// hangingSource gives such files for each commit but the first.
type hangingSource struct {
	*world
	first string
	free  <-chan struct{}
}

func (h hangingSource) Fetch(ctx context.Context, revision gitsync.Revision, prefetch []string) (*gitsync.Checkout, error) {
	checkout, err := h.world.Fetch(ctx, revision, prefetch)
	if err == nil && revision.Commit != h.first {
		checkout.FS = hanging{checkout.FS, h.free}
	}
	return checkout, err
}

// A rollout that waits for its services reads a newer commit, which cannot be read to its
// end: it is given up after the time of the stage load, and its own sync fails.
func TestNewerCommitThatHangs(t *testing.T) {
	inWorld(t, func(w *world) {
		free := make(chan struct{})
		defer close(free)
		first := w.revision.Commit
		w.change = func(p *agent.Parts) { p.Source = hangingSource{w, first, free} }
		var second string
		w.verify = func(ctx context.Context) error {
			if second == "" {
				second = w.commit("2", nodeDir+"node.env", "TAG=2\n")
				<-ctx.Done()
			}
			return ctx.Err()
		}
		w.start()
		w.pass(2 * time.Minute)
		w.pass(2 * time.Minute)
		if held := w.wantLast(second, record.Failed); held.Stage != record.StageLoad || !strings.Contains(held.Error, "limits.load_time allows 1m0s") {
			t.Errorf("stage %s: %s", held.Stage, held.Error)
		}
	})
}

// A tag that is deleted while its rollout is interrupted ends the sync, since its signature
// cannot be read again; pushed again, it can be retried.
func TestSignedTagDeletedDuringARollout(t *testing.T) {
	inSignedWorld(t, signedConfig, func(w *signedWorld) {
		w.tags = true
		w.git.Annotate("v1")
		w.start()
		second := w.push(&w.ada, "2")
		w.ada.Use(w.git.Git)
		w.git.Annotate("v2")
		w.set(func() { w.verify = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() } })
		w.poll()
		w.wantLast(second, record.Running)
		w.halt()
		object := w.git.Git("rev-parse", "v2")
		w.git.Git("tag", "--delete", "v2")
		w.set(func() { w.verify = nil })
		w.start()
		w.poll()
		held := w.wantLast(second, record.Failed)
		if !held.Held() || held.Stage != record.StageSigners || !strings.Contains(held.Error, "tag v2 was deleted or moved before its rollout ended") || !strings.Contains(held.Hint, "agent retry") {
			t.Errorf("held %t in %s: %s (%s)", held.Held(), held.Stage, held.Error, held.Hint)
		}
		if status := w.desk.Status(); status.PollError != "" {
			t.Errorf("looks fail: %s", status.PollError)
		}
		w.git.Git("update-ref", "refs/tags/v2", object)
		if _, err := w.desk.Retry(w.t.Context(), person, request.Retry{Reason: "pushed again"}, func(string) {}); err != nil {
			t.Fatal(err)
		}
		w.wantLast(second, record.Succeeded)
		w.wantImage("app:2")
	})
}
