package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
)

// handlePeople takes what people ask, on the control socket.
func (a *Agent) handlePeople(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/pause", granting(func(_ context.Context, actor audit.Actor, asked PauseRequest) (*record.Pause, error) {
		return a.Pause(actor, asked)
	}))
	mux.HandleFunc("POST /v1/resume", granting(func(ctx context.Context, actor audit.Actor, asked ResumeRequest) (Resumed, error) {
		return a.Resume(ctx, actor, asked)
	}))
	mux.HandleFunc("POST /v1/approve", granting(func(_ context.Context, actor audit.Actor, asked ApproveRequest) (*record.Approval, error) {
		return a.Approve(actor, asked)
	}))
	mux.HandleFunc("POST /v1/retry", a.serveRetry)
}

// maxAsked bounds the body of a request.
const maxAsked = 16 << 10

func readAsked[T any](r *http.Request) (asked T, err error) {
	decoder := json.NewDecoder(io.LimitReader(r.Body, maxAsked))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&asked); err != nil {
		return asked, refuse(http.StatusBadRequest, "", "read the request: %w", err)
	}
	return asked, nil
}

// granting answers a request with what came of it, or why it cannot be granted. Who
// goes away meanwhile has asked all the same.
func granting[T, R any](grant func(context.Context, audit.Actor, T) (R, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		asked, err := readAsked[T](r)
		if err != nil {
			deny(w, err)
			return
		}
		granted, err := grant(context.WithoutCancel(r.Context()), peer(r.Context()), asked)
		if err != nil {
			deny(w, err)
			return
		}
		answer(w, granted)
	}
}

func deny(w http.ResponseWriter, err error) {
	code := http.StatusInternalServerError
	if refused := (ungranted{}); errors.As(err, &refused) {
		code = refused.code
	}
	answerFault(w, code, err)
}

// serveRetry tries the held revision again, and streams how it goes as a sync does.
// With detach it answers as soon as that is granted.
func (a *Agent) serveRetry(w http.ResponseWriter, r *http.Request) {
	asked, err := readAsked[RetryRequest](r)
	if err == nil {
		err = a.allowRetry(peer(r.Context()), asked)
	}
	if err != nil {
		deny(w, err)
		return
	}
	a.serveSync(w, r)
}

// Pause asks the agent to begin no rollouts.
func (c *Client) Pause(ctx context.Context, request PauseRequest) (*record.Pause, error) {
	var pause record.Pause
	return &pause, c.ask(ctx, "/v1/pause", request, &pause)
}

// Resume ends a pause and what a rollback has pinned.
func (c *Client) Resume(ctx context.Context, request ResumeRequest) (Resumed, error) {
	var ended Resumed
	return ended, c.ask(ctx, "/v1/resume", request, &ended)
}

// Approve approves the plan that waits for it.
func (c *Client) Approve(ctx context.Context, request ApproveRequest) (*record.Approval, error) {
	var approval record.Approval
	return &approval, c.ask(ctx, "/v1/approve", request, &approval)
}

// Retry has the held revision tried again. With progress it follows that to its end;
// with nil it does not wait.
func (c *Client) Retry(ctx context.Context, request RetryRequest, progress func(SyncEvent)) (*record.Sync, error) {
	if progress == nil {
		return nil, c.ask(ctx, "/v1/retry?detach=1", request, nil)
	}
	response, err := c.post(ctx, "/v1/retry", request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	return follow(response, progress)
}

// ask posts a request and reads what came of it; into may be nil.
func (c *Client) ask(ctx context.Context, path string, request, into any) error {
	response, err := c.post(ctx, path, request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if into == nil {
		return nil
	}
	return decodeAnswer(response, into)
}

func (c *Client) post(ctx context.Context, path string, request any) (*http.Response, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	return c.send(ctx, http.MethodPost, path, bytes.NewReader(body))
}
