package agent_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// fetchFails makes each fetch from now on fail.
func (w *world) fetchFails(err error) { w.set(func() { w.fetchErr = err }) }

// TestTooLargeToFetch holds a revision that is too large to fetch, and follows the next one.
func TestTooLargeToFetch(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.poll()
		w.wantLast(w.revision.Commit, record.Succeeded)
		w.fetchFails(fmt.Errorf("fetch: %w", limits.Over(fault.Place{}, "fetch_bytes", "the decompressed git objects have", limits.Bytes(128<<20))))
		large := w.commit("2")
		w.poll()
		held := w.wantLast(large, record.Failed)
		if held.Stage != record.StageFetch || !held.Held() || !strings.Contains(held.Error, "limits.fetch_bytes allows 128MiB") || !strings.Contains(held.Hint, "raise fetch_bytes") {
			t.Errorf("stage %s, held %t: %s (%s)", held.Stage, held.Held(), held.Error, held.Hint)
		}
		id := held.ID
		w.pass(10 * interval)
		if again := w.wantLast(large, record.Failed); again.ID != id || w.desk.Status().PollError != "" {
			t.Errorf("sync %d, poll error %q: the revision is tried again", again.ID, w.desk.Status().PollError)
		}
		w.fetchFails(nil)
		small := w.commit("3", nodeDir+"node.env", "TAG=2\n")
		w.poll()
		w.wantLast(small, record.Succeeded)
	})
}

// TestDeaths restarts an agent that died while it read a revision. After the second death the
// revision is held with that reason, until a user retries it.
func TestDeaths(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.poll()
		first := w.revision.Commit
		w.wantLast(first, record.Succeeded)
		var during []record.Reading
		w.change = func(parts *agent.Parts) {
			store := parts.Store
			parts.Render = func(node *manifests.Node, set *secrets.Set, options compose.Options) (*compose.Stack, error) {
				reading, err := store.Reading()
				if err != nil {
					t.Error(err)
				}
				during = append(during, reading)
				return compose.Render(node, set, options)
			}
		}
		die := func(commit string) {
			t.Helper()
			reading, err := w.store.Reading()
			if err != nil {
				t.Fatal(err)
			}
			if reading.Commit != commit {
				reading = record.Reading{Commit: commit}
			}
			reading.Open = true // as the process left it
			if err := w.store.SaveReading(reading); err != nil {
				t.Fatal(err)
			}
			w.halt()
		}
		second := strings.Repeat("0", 39) + "2"
		die(second)
		w.commit("2", nodeDir+"node.env", "TAG=2\n")
		w.start()
		w.poll()
		w.wantLast(second, record.Succeeded) // one death is an accident
		if len(during) != 1 || !during[0].Open || during[0].Commit != second || during[0].Deaths != 1 {
			t.Errorf("on record while it rendered: %+v", during)
		}
		third := strings.Repeat("0", 39) + "3"
		die(third)
		w.start()
		die(third)
		w.commit("3", nodeDir+"node.env", "TAG=3\n")
		w.start()
		w.poll()
		held := w.wantLast(third, record.Failed)
		if !held.Held() || !strings.HasSuffix(held.Error, "the agent ended 2 times while it read "+record.Short(third)) || !strings.Contains(held.Hint, "agent retry") {
			t.Errorf("held %t: %s (%s)", held.Held(), held.Error, held.Hint)
		}
		if applied := w.plans(); applied != 2 {
			t.Errorf("%d plans were applied", applied)
		}
		if _, err := w.desk.Retry(w.t.Context(), person, request.Retry{}, func(string) {}); err != nil {
			t.Error(err)
		}
		w.wantLast(third, record.Succeeded)
	})
}

// TestStageTime ends a stage that does not end, and the agent while one does not end.
func TestStageTime(t *testing.T) {
	inWorld(t, func(w *world) {
		free := make(chan struct{})
		defer close(free)
		w.change = func(parts *agent.Parts) {
			parts.Settings.Limits.RenderTime = 2 * interval
			parts.Render = func(node *manifests.Node, set *secrets.Set, options compose.Options) (*compose.Stack, error) {
				if node.Variables["TAG"].Value == "hang" {
					<-free
				}
				return compose.Render(node, set, options)
			}
		}
		w.start()
		w.poll()
		w.wantLast(w.revision.Commit, record.Succeeded)
		hangs := w.commit("2", nodeDir+"node.env", "TAG=hang\n")
		w.pass(4 * interval)
		held := w.wantLast(hangs, record.Failed)
		if held.Stage != record.StageRender || !held.Held() || held.Error != "the stage render takes more than 1m0s: limits.render_time allows 1m0s" {
			t.Errorf("stage %s, held %t: %s", held.Stage, held.Held(), held.Error)
		}
		w.commit("3", nodeDir+"node.env", "TAG=hang\n", nodeDir+"project.env", "A=1\n")
		w.pass(interval + interval/2)
		began := time.Now()
		w.halt()
		if took := time.Since(began); took > 0 { // the clock stands still unless something is waited for
			t.Errorf("the agent ended %s after its signal", took)
		}
		w.start()
		if reading, err := w.store.Reading(); err != nil || reading.Deaths != 0 {
			t.Errorf("an end by a signal counts as a death: %+v, %v", reading, err)
		}
		w.pass(3 * interval)
	})
}
