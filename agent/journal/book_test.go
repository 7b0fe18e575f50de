package journal_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/journal"
	"coin.internal/coin-agent/deploy"
)

// shelf is a book on a log in a folder, which counts the writes of the log.
type shelf struct {
	t      *testing.T
	log    *audit.Log
	book   *journal.Book
	writes atomic.Int32
	full   error // of the next writes
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	log, err := audit.Open(t.TempDir(), audit.Options{Environment: "e", Node: "n"})
	if err != nil {
		t.Fatal(err)
	}
	s := &shelf{t: t, log: log}
	t.Cleanup(func() { _ = log.Close() })
	log.Around = func(write func() error) error {
		if s.writes.Add(1); s.full != nil {
			return s.full
		}
		return write()
	}
	s.book = journal.New(log, func() audit.Entry { return audit.Entry{Actor: audit.Agent(), Outcome: audit.Succeeded} }).
		Open(journal.SecretNames{"a": {"key"}})
	return s
}

func service(name string, wave int) deploy.Step {
	return deploy.Step{Action: deploy.Update, Kind: deploy.Service, Name: name, Wave: wave}
}

func (s *shelf) note(event deploy.Event) {
	s.t.Helper()
	if err := s.book.Note(event); err != nil {
		s.t.Error(err)
	}
}

// has compares what the log has, and how often it was written.
func (s *shelf) has(writes int32, want ...string) {
	s.t.Helper()
	var got []string
	if err := s.log.Read(func(entry audit.Entry) {
		if entry.Seq > 1 {
			got = append(got, fmt.Sprintf("%s %s %s %s", entry.Action, entry.Name, entry.Outcome, entry.Service))
		}
	}); err != nil {
		s.t.Error(err)
	}
	if diff := cmp.Diff(want, got); diff != "" || writes != s.writes.Load() {
		s.t.Errorf("%d writes of the log, not %d: %s", s.writes.Load(), writes, diff)
	}
}

// Steps that end within a short time are saved together, in the order in which they ended.
func TestStepsAreSavedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(t)
		for _, name := range []string{"b", "a"} {
			s.note(deploy.Event{Step: service(name, 1)})
		}
		for _, name := range []string{"b", "a"} {
			s.note(deploy.Event{Step: service(name, 1), Done: true})
			time.Sleep(10 * time.Millisecond)
		}
		s.has(0)
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		s.has(1, "update b succeeded ", "update a succeeded ", "use key succeeded a")
		s.note(deploy.Event{Step: service("c", 1), Done: true, Err: errors.New("refused")})
		began := time.Now()
		if err := s.book.Close(errors.ErrUnsupported); !errors.Is(err, errors.ErrUnsupported) || time.Since(began) > 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		s.has(2, "update b succeeded ", "update a succeeded ", "use key succeeded a", "update c failed ")
	})
}

// No wave, and no kind of object, begins before the steps of the one before are saved.
func TestStepsAreSavedBeforeTheNextWave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, began := newShelf(t), time.Now()
		network := deploy.Step{Action: deploy.Create, Kind: deploy.Network, Name: "net"}
		s.note(deploy.Event{Step: network})
		s.note(deploy.Event{Step: network, Done: true})
		s.has(0)
		s.note(deploy.Event{Step: service("b", 1)})
		s.has(1, "create net succeeded ")
		s.note(deploy.Event{Step: service("b", 1), Done: true})
		s.note(deploy.Event{Step: service("c", 2)})
		s.has(2, "create net succeeded ", "update b succeeded ")
		if waited := time.Since(began); waited > 0 {
			t.Errorf("the apply waited %v", waited)
		}
		s.full = errors.New("no space")
		s.note(deploy.Event{Step: service("c", 2), Done: true})
		if err := s.book.Note(deploy.Event{Step: service("d", 3)}); !errors.Is(err, s.full) {
			t.Errorf("a wave began after an entry was lost: %v", err)
		}
		if err := s.book.Close(nil); !errors.Is(err, s.full) {
			t.Error(err)
		}
	})
}

// A step whose entry could not be saved ends the wave that it is in.
func TestLostEntryEndsTheWave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(t)
		s.full = errors.New("no space")
		s.note(deploy.Event{Step: service("b", 1), Done: true})
		time.Sleep(time.Second)
		for _, done := range []bool{false, true} {
			if err := s.book.Note(deploy.Event{Step: service("c", 1), Done: done}); !errors.Is(err, s.full) {
				t.Errorf("%t: %v", done, err)
			}
		}
		if err := s.book.Close(nil); !errors.Is(err, s.full) || s.writes.Load() != 1 {
			t.Error(err, s.writes.Load())
		}
	})
}
