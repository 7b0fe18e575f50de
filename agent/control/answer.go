package control

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/visible"
)

// refusal is the answer of every endpoint when it fails.
type refusal struct {
	Error  string            `json:"error"`
	Hint   string            `json:"hint,omitempty"`
	Code   fault.Code        `json:"code,omitempty"`   // the class of the error
	Survey *inventory.Survey `json:"survey,omitempty"` // of a collection that ended early
}

// err gives the error that the agent had.
func (r refusal) err() error {
	return fault.WithCode(fault.New(fault.Place{}, r.Hint, "%s", r.Error), cmp.Or(r.Code, fault.CodeOther))
}

// maxAnswer bounds an answer; what it lists is bounded so that it stays far below.
const maxAnswer = 32 << 20

// answer writes a value, or why the request fails, and the remedy.
func answer(w http.ResponseWriter, value any, err error) {
	status := http.StatusOK
	if err != nil {
		survey, _ := value.(*inventory.Survey)
		status = StatusOf(err)
		value = refusal{Error: err.Error(), Hint: fault.Hint(err), Code: cmp.Or(fault.CodeOf(err), fault.CodeOther), Survey: survey}
	}
	data, err := json.Marshal(value)
	if err == nil && len(data) > maxAnswer {
		err = fmt.Errorf("the answer is larger than %d MiB", maxAnswer>>20)
	}
	if err != nil {
		status = http.StatusInternalServerError
		data, _ = json.Marshal(refusal{Error: err.Error()}) // a text has no error
	}
	w.Header().Set("Content-Type", "application/json")
	send(w, status, append(visible.JSON(data), '\n'))
}

const (
	pieceSize = 64 << 10
	// pieceTime bounds how long a reader may take for a piece of an answer.
	pieceTime = 10 * time.Second
)

// send writes an answer, to a reader who reads: it ends when a piece, or all, takes too long. The
// time begins now, because a request may have waited for the loop.
func send(w http.ResponseWriter, status int, data []byte) {
	end, flow := time.Now().Add(answerTime), http.NewResponseController(w)
	w.WriteHeader(status)
	for piece := range slices.Chunk(data, pieceSize) {
		next := time.Now().Add(pieceTime)
		if next.After(end) {
			next = end
		}
		_ = flow.SetWriteDeadline(next) // a test's writer has none
		if _, err := w.Write(piece); err != nil {
			return
		}
	}
}

// StatusOf gives the HTTP status of an error.
func StatusOf(err error) int {
	refused := request.Refused{}
	if errors.As(err, &refused) {
		switch refused.Kind {
		case request.Invalid:
			return http.StatusBadRequest
		case request.Conflict:
			return http.StatusConflict
		case request.NotFound:
			return http.StatusNotFound
		case request.Forbidden:
			return http.StatusForbidden
		case request.Busy:
			return http.StatusServiceUnavailable
		}
	}
	return http.StatusInternalServerError
}

// maxBody bounds the body of a request.
const maxBody = 16 << 10

// bodyTime is how long the body of a request may take.
const bodyTime = 10 * time.Second

// bodyInTime reads the body of a request first: a client that sends none takes no turn of others.
func bodyInTime(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		deadline := http.NewResponseController(w)
		_ = deadline.SetReadDeadline(time.Now().Add(bodyTime)) // a test's writer has none
		body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
		if err != nil {
			w.Header().Set("Connection", "close")
			answer(w, nil, request.Refuse(request.Invalid, "", "read the request: its body did not come within %s", bodyTime))
			return
		}
		_ = deadline.SetReadDeadline(time.Time{})
		r.Body = io.NopCloser(bytes.NewReader(body))
		handler.ServeHTTP(w, r)
	})
}

// read reads the body of a request. An empty body is a request without details.
func read[T any](r *http.Request) (asked T, err error) {
	decoder := json.NewDecoder(io.LimitReader(r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&asked); err != nil && !errors.Is(err, io.EOF) {
		return asked, request.Refuse(request.Invalid, "", "read the request: %w", err)
	}
	return asked, nil
}

// Event is one line of a stream: progress, and at last the outcome.
type Event struct {
	Progress string          `json:"progress,omitempty"`
	Rollout  *report.Rollout `json:"rollout,omitempty"` // with progress, while services are waited for
	Sync     *record.Sync    `json:"sync,omitempty"`
	Error    string          `json:"error,omitempty"`
	Hint     string          `json:"hint,omitempty"`
	Code     fault.Code      `json:"code,omitempty"` // the class of the error
}

// background is the work that outlives the request that asked for it. It ends when the
// server's context ends.
type background struct {
	// detach gives a context that ends with the server's and not with the request's.
	detach  func(context.Context) (context.Context, context.CancelFunc)
	running sync.WaitGroup
}

func newBackground(server context.Context) *background {
	return &background{detach: func(asked context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(context.WithoutCancel(asked))
		stop := context.AfterFunc(server, cancel)
		return ctx, func() { stop(); cancel() }
	}}
}

// start runs what was granted. When it ends the outcome is on the channel.
func (b *background) start(asked context.Context, run request.Run, progress func(string)) <-chan Event {
	ended := make(chan Event, 1)
	b.running.Go(func() {
		ctx, cancel := b.detach(asked)
		defer cancel()
		done, err := run(ctx, progress)
		if ctx.Err() != nil {
			close(ended) // the agent stops before the outcome is known
			return
		}
		last := Event{Sync: done}
		if err != nil {
			last.Error, last.Hint, last.Code = err.Error(), fault.Hint(err), cmp.Or(fault.CodeOf(err), fault.CodeOther)
		}
		ended <- last
	})
	return ended
}

// progress runs what was granted, or answers with the error of a refusal. It writes the
// progress, one JSON object a line. A client that goes away ends the stream, not the sync.
// With detach it answers at once.
func (h *handlers) progress(w http.ResponseWriter, r *http.Request, desk Desk, run request.Run, err error) {
	if err != nil {
		answer(w, nil, err)
		return
	}
	if r.URL.Query().Has(detach) {
		h.background.start(r.Context(), run, func(string) {}) // the outcome is in status and history
		return
	}
	events := make(chan Event, 64)
	ended := h.background.start(r.Context(), run, func(text string) {
		select {
		case events <- Event{Progress: text, Rollout: desk.Rollout()}:
		default: // a slow reader misses progress, not the outcome
		}
	})
	w.Header().Set("Content-Type", "application/x-ndjson")
	encoder, flusher := json.NewEncoder(w), http.NewResponseController(w)
	write := func(event Event) bool {
		_ = flusher.SetWriteDeadline(time.Now().Add(writeLimit)) // a test's writer has none
		return encoder.Encode(event) == nil && flusher.Flush() == nil
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case event := <-events:
			if !write(event) {
				return
			}
		case last, is := <-ended:
			for len(events) > 0 {
				write(<-events)
			}
			if is {
				write(last)
			}
			return
		}
	}
}
