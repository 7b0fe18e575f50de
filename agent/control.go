package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/internal/fault"
)

// ListenControl opens the control socket: mode 0600, in a folder of mode 0700
// when it has to be made. A socket that a dead agent left is replaced; that of a
// living one is not.
func ListenControl(path string) (net.Listener, error) {
	if conn, err := net.Dial("unix", path); err == nil {
		_ = conn.Close()
		return nil, fault.New(fault.Place{}, "stop the other agent, or give this one its own socket", "an agent already answers on %s", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make folder of the control socket: %w", err)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket == 0 {
		return nil, fault.New(fault.Place{}, "choose another path for the socket", "open control socket: %s is there and is no socket", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove stale control socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protect control socket: %w", err), listener.Close())
	}
	return listener, nil
}

// ServeControl answers the commands on the control socket until ctx ends.
func (a *Agent) ServeControl(ctx context.Context, listener net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { answer(w, a.Status()) })
	mux.HandleFunc("GET /v1/history", a.serveHistory)
	mux.HandleFunc("GET /v1/syncs/{id}", a.serveOne)
	mux.HandleFunc("POST /v1/sync", a.serveSync)
	a.handlePeople(mux)
	a.handleRollback(mux)
	mux.HandleFunc("GET /v1/secrets", func(w http.ResponseWriter, r *http.Request) { answerSurvey(w)(a.Survey(r.Context())) })
	mux.HandleFunc("POST /v1/secrets/collect", func(w http.ResponseWriter, r *http.Request) {
		answerSurvey(w)(a.Collect(context.WithoutCancel(r.Context()), peer(r.Context())))
	})
	mux.HandleFunc("GET /v1/audit/head", func(w http.ResponseWriter, _ *http.Request) { answer(w, a.Audit.Head()) })
	return serve(ctx, listener, mux)
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

func (a *Agent) serveHistory(w http.ResponseWriter, r *http.Request) {
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil {
		limit = 20
	}
	syncs, err := a.Store.History(limit)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, syncs)
}

// SyncEvent is one line of the answer to a sync request: progress, and at last
// the outcome.
type SyncEvent struct {
	Progress string          `json:"progress,omitempty"`
	Rollout  *report.Rollout `json:"rollout,omitempty"` // with progress, while services are waited for
	Sync     *record.Sync    `json:"sync,omitempty"`
	Error    string          `json:"error,omitempty"`
	Hint     string          `json:"hint,omitempty"`
}

// overrideFreeze is the parameter of a sync request that says why a freeze does not
// hold for it.
const overrideFreeze = "override_freeze"

// serveSync starts a sync and streams its progress, one JSON object a line. With
// detach it answers at once. A client that goes away does not stop the sync.
func (a *Agent) serveSync(w http.ResponseWriter, r *http.Request) {
	ctx, why := context.WithoutCancel(r.Context()), cause{trigger: record.OnRequest, actor: peer(r.Context())}
	if query := r.URL.Query(); query.Has(overrideFreeze) {
		var err error
		if why.override, err = a.override(why.actor, query.Get(overrideFreeze)); err != nil {
			deny(w, err)
			return
		}
	}
	if r.URL.Query().Has("detach") {
		go a.syncFor(ctx, why, func(string) {}) // its outcome stands in status and history
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	encoder, flusher := json.NewEncoder(w), http.NewResponseController(w)
	for event := range a.stream(ctx, why) {
		_ = encoder.Encode(event)
		_ = flusher.Flush()
	}
}

// stream runs a sync and gives its progress, before that what goes on already, and,
// last, its outcome.
func (a *Agent) stream(ctx context.Context, why cause) <-chan SyncEvent {
	events := make(chan SyncEvent, 64)
	tell := func(text string) {
		select {
		case events <- SyncEvent{Progress: text, Rollout: a.Rollout()}:
		default: // a slow reader misses progress, not the outcome
		}
	}
	go func() {
		defer close(events)
		begun := make(chan struct{})
		begin := sync.OnceFunc(func() { close(begun) })
		var before sync.WaitGroup
		before.Go(func() { a.tellUntil(begun, tell) })
		done := a.inLoop(ctx, true, func(ctx context.Context) outcome {
			begin()
			before.Wait()
			return a.lookOn(ctx, why, tell)
		})
		begin()
		before.Wait()
		last := SyncEvent{Sync: done.sync}
		if done.err != nil {
			last.Error, last.Hint = done.err.Error(), fault.Hint(done.err)
		}
		events <- last
	}()
	return events
}

// tellUntil tells how far the agent is with what it does, whenever that changes.
func (a *Agent) tellUntil(end <-chan struct{}, tell func(string)) {
	tick := time.NewTicker(time.Second / 2)
	defer tick.Stop()
	told := ""
	for {
		select {
		case <-end:
			return
		case <-tick.C:
		}
		if text := a.snapshot().progress; text != "" && text != told {
			told = text
			tell(text)
		}
	}
}
