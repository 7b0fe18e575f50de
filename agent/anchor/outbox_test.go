package anchor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/anchor"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

// world is a log's head, a GitLab with issue 17, and outboxes, in synctest.
type world struct {
	*gitlabtest.Server
	t      *testing.T
	store  memory
	client *gitlab.Client
	places []anchor.Place
	outbox *anchor.Outbox
	stop   func()

	mu   sync.Mutex
	head audit.Head
}

// memory keeps the book, as the state file does.
type memory struct {
	book anchor.Book
	full atomic.Bool
}

func (m *memory) Anchors() (anchor.Book, error) { return copied(m.book), nil }

func (m *memory) SaveAnchors(book anchor.Book) error {
	if m.full.Load() {
		return errors.New("no space left on device")
	}
	m.book = copied(book)
	return nil
}

func copied(book anchor.Book) anchor.Book {
	made := anchor.Book{Kept: map[string]anchor.Mark{}, Tried: map[string]anchor.Mark{}}
	maps.Copy(made.Kept, book.Kept)
	maps.Copy(made.Tried, book.Tried)
	return made
}

// carrier takes requests to the double without a network.
type carrier struct{ http.Handler }

func (c carrier) RoundTrip(request *http.Request) (response *http.Response, err error) {
	if request.Body == nil {
		request.Body = http.NoBody
	}
	defer func() {
		if reason := recover(); reason != nil {
			err = errors.New("the connection was cut")
		}
	}()
	recorder := httptest.NewRecorder()
	c.ServeHTTP(recorder, request)
	return recorder.Result(), nil
}

func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	token := gitlabtest.TokenFile(t, gitlabtest.Secret)
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		w := &world{Server: gitlabtest.NewServer(gitlabtest.Config{}), t: t, stop: func() {}}
		w.SetToken(gitlabtest.Secret, gitlabtest.Token{Name: "agent", User: gitlabtest.Agent(), Scopes: []string{"api"}})
		w.AddIssue(17)
		var err error
		if w.client, err = gitlab.New(gitlab.Options{URL: "http://localhost", Project: "coin/coin-gitops", TokenFile: token, Transport: carrier{w.Server}}); err != nil {
			t.Fatal(err)
		}
		w.places = []anchor.Place{anchor.Issue{Notes: w.client, Number: 17}}
		defer func() { w.stop() }()
		w.start()
		test(w)
	})
}

// start runs another outbox on the same store.
func (w *world) start() {
	w.t.Helper()
	w.stop()
	var err error
	w.outbox, err = anchor.NewOutbox(anchor.Options{Node: "sandbox/node3", Places: w.places, Store: &w.store, Head: w.last, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = w.outbox.Run(ctx) }()
	w.stop = func() { cancel(); <-ended }
	synctest.Wait()
}

func (w *world) last() audit.Head {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.head
}

func hashOf(seq uint64) string { return fmt.Sprintf("%064x", seq) }

// move appends entries up to a number, and says so.
func (w *world) move(seq uint64) {
	w.mu.Lock()
	w.head = audit.Head{Seq: seq, Hash: hashOf(seq), Keyed: 1}
	w.mu.Unlock()
	w.outbox.Moved()
	synctest.Wait()
}

func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// wantNotes checks the entries that GitLab has anchors of, each with the one before it.
func (w *world) wantNotes(want ...uint64) {
	w.t.Helper()
	var all []string
	for _, note := range w.Notes(17) {
		all = append(all, note.Body)
	}
	var texts []string
	before := uint64(0)
	for _, seq := range want {
		texts = append(texts, anchor.Anchor{Node: "sandbox/node3", Seq: seq, Hash: hashOf(seq), After: before}.String())
		before = seq
	}
	if strings.Join(all, "\n") != strings.Join(texts, "\n") {
		w.t.Errorf("GitLab has\n%s\nwant\n%s", strings.Join(all, "\n"), strings.Join(texts, "\n"))
	}
}

func TestEachHeadIsOneNote(t *testing.T) {
	inWorld(t, func(w *world) {
		w.wantNotes()
		w.move(4)
		w.move(9)
		w.wantNotes(4, 9)
		w.move(9)
		w.pass(48 * time.Hour)
		w.start()
		w.pass(48 * time.Hour)
		w.wantNotes(4, 9)
		if n := len(w.Requests()); n != 2 {
			w.t.Errorf("%d requests: idle nodes ask nothing", n)
		}
		if health := w.outbox.Health(); len(health) != 1 || health[0].Place != "issue #17" || health[0].Entry != 9 || health[0].Left != 0 || health[0].Error != "" {
			w.t.Errorf("%+v", health)
		}
	})
}

// What was not anchored when the agent stopped is anchored after its next start.
func TestAnchoredAfterARestart(t *testing.T) {
	inWorld(t, func(w *world) {
		w.move(2)
		w.stop()
		w.move(5)
		w.wantNotes(2)
		w.start()
		w.wantNotes(2, 5)
	})
}

// Whatever happens to a request, there is one note in the end, and the next head follows.
func TestTroubleWithGitLab(t *testing.T) {
	const post = http.MethodPost
	for name, test := range map[string]struct {
		faults []gitlabtest.Fault
		within time.Duration
	}{
		"cut":              {[]gitlabtest.Fault{{Method: post, Cut: true, Times: 2}}, 5 * time.Second},
		"answer lost":      {[]gitlabtest.Fault{{Method: post, Lost: true}}, 2 * time.Second},
		"lost, no reading": {[]gitlabtest.Fault{{Method: post, Lost: true}, {Method: http.MethodGet, Status: 502, Times: 3}}, 25 * time.Second},
		"broken":           {[]gitlabtest.Fault{{Status: 500, Times: 4}}, 30 * time.Second},
		"rate limit":       {[]gitlabtest.Fault{{Method: post, Status: 429, RetryAfter: time.Minute}}, 90 * time.Second},
		"token refused":    {[]gitlabtest.Fault{{Status: 401, Times: 3}}, 15 * time.Second},
		"no right":         {[]gitlabtest.Fault{{Method: post, Status: 403, Times: 3}}, 15 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.move(2)
				for _, fault := range test.faults {
					w.Inject(fault)
				}
				w.move(6)
				if one := w.outbox.Health()[0]; one.Error == "" || one.Since.IsZero() || one.Left != 4 || one.Entry != 2 {
					w.t.Errorf("%+v", one)
				}
				w.pass(test.within)
				w.wantNotes(2, 6)
				if one := w.outbox.Health()[0]; one.Error != "" || one.Left != 0 {
					w.t.Errorf("%+v", one)
				}
				w.move(7)
				w.wantNotes(2, 6, 7)
			})
		})
	}
}

// Of the heads of a long outage the last one is enough beside the first, and it is not asked for often.
func TestLongOutage(t *testing.T) {
	inWorld(t, func(w *world) {
		w.move(1)
		w.Inject(gitlabtest.Fault{Status: 503, Times: -1})
		for seq := uint64(2); seq <= 200; seq++ {
			w.move(seq)
			w.pass(time.Minute)
		}
		if n := len(w.Requests()); n > 80 {
			w.t.Errorf("%d requests in 200 minutes", n)
		}
		w.Heal()
		w.pass(6 * time.Minute)
		w.wantNotes(1, 2, 200) // GitLab may have had that of entry 2 when the outage began
	})
}

func TestIssueThatIsNotThere(t *testing.T) {
	inWorld(t, func(w *world) {
		w.places = []anchor.Place{anchor.Issue{Notes: w.client, Number: 18}}
		w.start()
		w.move(3)
		if one := w.outbox.Health()[0]; !strings.Contains(one.Error, "404 Issue Not Found") || !strings.Contains(one.Hint, "set audit_issue to an open issue") {
			w.t.Errorf("%+v", one)
		}
		w.AddIssue(18)
		w.pass(6 * time.Minute)
		if all := w.Notes(18); len(all) != 1 {
			w.t.Errorf("%+v", all)
		}
		w.places = []anchor.Place{anchor.Issue{Notes: w.client, Number: 17}} // another issue has no anchor before
		w.start()
		w.wantNotes(3)
	})
}

// A full disk delays an anchor, and doubles none.
func TestFullDisk(t *testing.T) {
	inWorld(t, func(w *world) {
		w.store.full.Store(true)
		w.move(3)
		w.wantNotes()
		w.store.full.Store(false)
		w.pass(2 * time.Second)
		w.wantNotes(3)
		w.places = append(w.places, broken{func() { w.store.full.Store(true) }})
		w.start()
		w.move(4) // the book cannot be saved once the note is there
		w.store.full.Store(false)
		w.start()
		w.pass(5 * time.Second)
		w.wantNotes(3, 4)
	})
}

// broken is a place that takes nothing.
type broken struct{ before func() }

func (broken) String() string { return "broken" }

func (b broken) Put(context.Context, anchor.Anchor, bool) error {
	b.before()
	return errors.New("it takes nothing")
}

// A place that takes nothing does not hold up the others; a flush ends.
func TestFlush(t *testing.T) {
	inWorld(t, func(w *world) {
		w.stop()
		w.places = []anchor.Place{broken{func() {}}, w.places[0]}
		w.start()
		w.stop()
		w.head = audit.Head{Seq: 3, Hash: hashOf(3)}
		begun := time.Now()
		err := w.outbox.Flush(w.t.Context())
		if err == nil || err.Error() != "anchor the audit log in broken: it takes nothing" || time.Since(begun) > 10*time.Second {
			w.t.Errorf("%v after %s", err, time.Since(begun))
		}
		w.wantNotes(3)
	})
}
