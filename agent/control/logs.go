package control

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

// Logs reads the logs of the services of one stack.
type Logs interface {
	Read(ctx context.Context, asked request.Logs, each func(deploy.LogLine) error) error
}

// Lines are lines of a service's logs, with secrets masked.
type Lines struct {
	Service string           `json:"service"`
	Lines   []deploy.LogLine `json:"lines"` // in order of time
}

// logLines answers with log lines, or with follow=true streams them.
func (h *handlers) logLines(w http.ResponseWriter, r *http.Request) {
	values := r.URL.Query()
	asked := request.Logs{Service: r.PathValue("name"), Follow: IsSet(values, "follow"), Failed: IsSet(values, "failed")}
	var err error
	if text := values.Get("lines"); text != "" {
		if asked.Lines, err = strconv.Atoi(text); err != nil {
			answer(w, nil, request.Refuse(request.Invalid, "write a number from 1 to 1000", "lines cannot be %q", text))
			return
		}
	}
	from, err := h.server.Logs(record.StackKey(values.Get(ofStack)))
	if err != nil {
		answer(w, nil, err)
		return
	}
	if asked.Follow {
		h.followLines(w, r, from, asked)
		return
	}
	lines := Lines{Service: asked.Service, Lines: []deploy.LogLine{}}
	err = from.Read(r.Context(), asked, func(line deploy.LogLine) error {
		lines.Lines = append(lines.Lines, line)
		return nil
	})
	answer(w, lines, err)
}

// followLines streams log lines. What is wrong is the last message of the stream.
func (h *handlers) followLines(w http.ResponseWriter, r *http.Request, from Logs, asked request.Logs) {
	out, end := h.openStream(w, r)
	if out == nil {
		return
	}
	defer end()
	if out.beat() != nil {
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	lines, ended := make(chan deploy.LogLine), make(chan error, 1)
	var reading sync.WaitGroup
	reading.Go(func() {
		ended <- from.Read(ctx, asked, func(line deploy.LogLine) error {
			select {
			case lines <- line:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	defer func() { cancel(); reading.Wait() }()
	idle := time.NewTicker(beat)
	defer idle.Stop()
	for {
		var err error
		select {
		case line := <-lines:
			err = out.send("", lineMessage, line)
		case <-idle.C:
			err = out.beat()
		case err := <-ended:
			if err != nil && ctx.Err() == nil {
				_ = out.send("", errorMessage, refusal{Error: err.Error(), Hint: fault.Hint(err)})
			}
			return
		}
		if err != nil {
			return
		}
	}
}
