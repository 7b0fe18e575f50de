package notify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/notify"
)

// room is an outbox with a store and receivers in memory, in synctest: time passes only when
// all wait.
type room struct {
	t      *testing.T
	outbox *notify.Outbox
	stop   func()
	logs   bytes.Buffer
	counts map[string]int

	accepted []string // what receivers have accepted

	mu      sync.Mutex
	book    []byte // in the format of the state file
	broken  error  // error of the store
	got     []string
	times   []time.Time
	trouble map[notify.Receiver]error
	hang    map[notify.Receiver]bool
}

var all = []notify.Event{notify.Failure, notify.Recovery, notify.Success, notify.Waiting, notify.Drift}

func inRoom(t *testing.T, test func(r *room)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		r := &room{t: t, trouble: map[notify.Receiver]error{}, hang: map[notify.Receiver]bool{}, counts: map[string]int{}, stop: func() {}}
		r.open()
		r.use(all, channel, ops)
		defer func() { r.stop() }()
		test(r)
	})
}

// open makes an outbox with the content of the store, as after a kill.
func (r *room) open() {
	r.t.Helper()
	r.stop()
	r.stop = func() {}
	outbox, err := notify.NewOutbox(notify.Options{
		Senders: map[notify.Kind]notify.Sender{notify.KindSlack: r, notify.KindEmail: r, notify.KindPagerDuty: r}, Store: r,
		Log: slog.New(slog.NewTextHandler(&r.logs, nil)), Count: r.count,
		Sent: func(to notify.Receiver, message string) { r.accepted = append(r.accepted, to.String()+" "+message) },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.outbox = outbox
}

// run starts the delivery and runs it for a time.
func (r *room) run(d time.Duration) {
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.outbox.Run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			r.t.Error(err)
		}
		r.stop = func() {}
	}
	r.pass(d)
}

func (r *room) pass(d time.Duration) {
	time.Sleep(d) // in synctest
	synctest.Wait()
}

func (r *room) use(events []notify.Event, receivers ...notify.Receiver) {
	r.t.Helper()
	if err := r.outbox.Use(notify.Wants{Receivers: receivers, Events: events}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *room) tell(notices ...notify.Notice) {
	r.t.Helper()
	for _, n := range notices {
		n.Time = time.Now()
		if err := r.outbox.Tell(n); err != nil {
			r.t.Fatal(err)
		}
	}
}

// Send implements both senders.
func (r *room) Send(ctx context.Context, to notify.Receiver, m notify.Message) error {
	r.mu.Lock()
	err, hang := r.trouble[to], r.hang[to]
	r.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, string(to.Kind)+": "+strings.TrimPrefix(m.Title, "sandbox/node3: "))
	r.times = append(r.times, time.Now())
	return nil
}

func (r *room) set(to notify.Receiver, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble[to] = err
}

// breaks makes the store fail.
func (r *room) breaks(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = err
}

func (r *room) count(kind notify.Kind, result string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[string(kind)+" "+result]++
}

func (r *room) counted(what string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[what]
}

// sentAt returns the times of all messages.
func (r *room) sentAt() []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.times)
}

func (r *room) Notices() (book notify.Book, err error) {
	if r.book == nil {
		return book, nil
	}
	return book, json.Unmarshal(r.book, &book)
}

func (r *room) SaveNotices(book *notify.Book) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return r.broken
	}
	var err error
	r.book, err = json.Marshal(book)
	return err
}

// wants checks the messages since the last call, sorted.
func (r *room) wants(want ...string) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.Sort(r.got)
	if diff := cmp.Diff(want, r.got); diff != "" {
		r.t.Error(diff)
	}
	r.got = nil
}

// plainNotice returns a short notice of a revision.
func plainNotice(event notify.Event, commit, title string) notify.Notice {
	return notify.Notice{Event: event, Environment: "sandbox", Node: "node3", Commit: commit, Title: title}
}
