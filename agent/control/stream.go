package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"coin.internal/coin-agent/agent/events"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/internal/visible"
)

const (
	// maxStreams bounds the streams that are open at the same time, readStreams those of callers who
	// may only read, and ownStreams those of one caller.
	maxStreams  = 64
	readStreams = 48
	ownStreams  = 32
	// beat is the time after which a stream without news sends a comment: both sides learn
	// that the other one is there.
	beat = 15 * time.Second
	// writeLimit is how long a reader may take to take what is written.
	writeLimit = 30 * time.Second
)

// Names of the messages of a stream that are no events.
const (
	missedMessage = "missed" // events are lost: what the reader knows is old
	lineMessage   = "line"   // of a log
	errorMessage  = "error"  // the stream ends with it
)

// stream is an open stream of server-sent events.
type stream struct {
	w    http.ResponseWriter
	flow *http.ResponseController
}

// openStream begins a stream, or answers that there are too many. end gives the place back.
func (h *handlers) openStream(w http.ResponseWriter, r *http.Request) (out *stream, end func()) {
	caller := CallerOf(r.Context())
	if taken, _ := h.streams.take(caller); !taken {
		w.Header().Set("Retry-After", "5")
		answer(w, nil, request.Refuse(request.Busy, "close another one, and try again", "too many streams are open already"))
		return nil, nil
	}
	out = &stream{w: w, flow: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no") // proxies pass on each message at once
	w.WriteHeader(http.StatusOK)
	return out, func() { h.streams.give(caller) }
}

// send writes one message. An error says that the reader has gone, or is too slow.
func (s *stream) send(id, name string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("event: %s\ndata: %s\n\n", name, visible.JSON(data))
	if id != "" {
		text = "id: " + id + "\n" + text
	}
	return s.write(text)
}

// batch writes events, and before them that others are lost.
func (s *stream) batch(batch events.Batch) error {
	if batch.Missed {
		if err := s.send("", missedMessage, nothing{}); err != nil {
			return err
		}
	}
	for _, event := range batch.Events {
		if err := s.send(event.ID, string(event.Kind), event); err != nil {
			return err
		}
	}
	return nil
}

// beat says that the stream is alive.
func (s *stream) beat() error { return s.write(": still here\n\n") }

func (s *stream) write(text string) error {
	_ = s.flow.SetWriteDeadline(time.Now().Add(writeLimit)) // a test's writer has none
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.flow.Flush()
}

// events streams what happens, from the event after Last-Event-ID on. With follow=false it
// answers with what is on record.
func (h *handlers) events(w http.ResponseWriter, r *http.Request) {
	last := r.Header.Get("Last-Event-ID")
	if last == "" {
		last = r.URL.Query().Get("after")
	}
	if r.URL.Query().Has("follow") && !IsSet(r.URL.Query(), "follow") {
		answer(w, h.server.Events.Since(last), nil)
		return
	}
	out, end := h.openStream(w, r)
	if out == nil {
		return
	}
	defer end()
	_ = h.followEvents(r.Context(), out, last) // the reader has gone
}

func (h *handlers) followEvents(ctx context.Context, out *stream, last string) error {
	if err := out.beat(); err != nil { // the reader learns at once that it is connected
		return err
	}
	idle := time.NewTicker(beat)
	defer idle.Stop()
	for {
		batch := h.server.Events.Since(last)
		if err := out.batch(batch); err != nil {
			return err
		}
		if n := len(batch.Events); n > 0 {
			last = batch.Events[n-1].ID
		}
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-batch.More:
				waiting = false
			case <-idle.C:
				if err := out.beat(); err != nil {
					return err
				}
			}
		}
	}
}
