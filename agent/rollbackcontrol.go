package agent

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

// RollbackRequest asks to go back to a good state.
type RollbackRequest struct {
	To       uint64   `json:"to,omitempty"`       // its sync; 0 for the one that suggests itself
	Services []string `json:"services,omitempty"` // none for the whole stack
	Reason   string   `json:"reason,omitempty"`
	Digest   string   `json:"digest,omitempty"` // of the plan that was shown
	Force    bool     `json:"force,omitempty"`  // across migrations
}

// RollbackPlan is what going back would do.
type RollbackPlan struct {
	To       uint64              `json:"to"`
	Commit   string              `json:"commit"`
	Release  string              `json:"release,omitempty"`
	At       time.Time           `json:"at"` // when it was proven
	Services []string            `json:"services,omitempty"`
	Leaves   string              `json:"leaves"` // the commit that is left
	Digest   string              `json:"digest"`
	Plan     deploy.RecordedPlan `json:"plan"`
}

func (q RollbackRequest) way(actor audit.Actor) (way, error) {
	why, err := reason(q.Reason, false)
	return way{to: q.To, services: q.Services, actor: actor, reason: why, force: q.Force, digest: q.Digest}, err
}

// PlanRollback says what going back would do. It changes nothing.
func (a *Agent) PlanRollback(ctx context.Context, actor audit.Actor, request RollbackRequest) (*RollbackPlan, error) {
	w, err := request.way(actor)
	if err != nil {
		return nil, err
	}
	r, err := a.readyBack(ctx, w, func(string) {})
	if r != nil {
		defer r.wipe()
	}
	if err != nil {
		return nil, err
	}
	to, taken := r.back.to, r.sync.Rollback
	return &RollbackPlan{
		To: to.SyncID, Commit: to.Commit, Release: to.Release, At: to.At, Services: taken.Services,
		Leaves: r.sync.Commit, Digest: r.attempt.PlanDigest, Plan: r.plan.RecordedPlan,
	}, nil
}

// Rollback has the running loop go back to a good state, for an actor, and waits for
// it. Where the request has a plan's digest, that plan is applied or none. A rollout
// that waits for its services makes way, unless something speaks against going back.
func (a *Agent) Rollback(ctx context.Context, actor audit.Actor, asked RollbackRequest, progress func(string)) (*record.Sync, error) {
	w, err := asked.way(actor)
	if err != nil {
		return nil, err
	}
	if w.digest == "" { // else that was asked with the plan
		if _, err := a.PlanRollback(ctx, actor, asked); err != nil {
			return nil, err
		}
	}
	done := a.hand(ctx, request{
		do: func(ctx context.Context) outcome { return a.goBack(ctx, w, progress) }, done: make(chan outcome, 1),
	}, a.stops)
	return done.sync, done.err
}

// handleRollback takes what people ask of going back, on the control socket.
func (a *Agent) handleRollback(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/rollback/plan", granting(a.planAsked))
	mux.HandleFunc("POST /v1/rollback", a.serveRollback)
}

// planAsked denies with what the agent has to say against it.
func (a *Agent) planAsked(ctx context.Context, actor audit.Actor, asked RollbackRequest) (*RollbackPlan, error) {
	plan, err := a.PlanRollback(ctx, actor, asked)
	if err != nil {
		return nil, ungranted{http.StatusConflict, err}
	}
	return plan, nil
}

// serveRollback goes back, and streams how it goes as a sync does.
func (a *Agent) serveRollback(w http.ResponseWriter, r *http.Request) {
	asked, err := readAsked[RollbackRequest](r)
	if err != nil {
		deny(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	encoder, flusher := json.NewEncoder(w), http.NewResponseController(w)
	events := make(chan SyncEvent, 64)
	go func() {
		defer close(events)
		sync, err := a.Rollback(context.WithoutCancel(r.Context()), peer(r.Context()), asked, func(text string) {
			select {
			case events <- SyncEvent{Progress: text, Rollout: a.Rollout()}:
			default: // a slow reader misses progress, not the outcome
			}
		})
		last := SyncEvent{Sync: sync}
		if err != nil {
			last.Error, last.Hint = err.Error(), fault.Hint(err)
		}
		events <- last
	}()
	for event := range events {
		_ = encoder.Encode(event)
		_ = flusher.Flush()
	}
}

// PlanRollback asks what going back would do.
func (c *Client) PlanRollback(ctx context.Context, request RollbackRequest) (*RollbackPlan, error) {
	var plan RollbackPlan
	return &plan, c.ask(ctx, "/v1/rollback/plan", request, &plan)
}

// Rollback asks to go back, and follows that to its end.
func (c *Client) Rollback(ctx context.Context, request RollbackRequest, progress func(SyncEvent)) (*record.Sync, error) {
	response, err := c.post(ctx, "/v1/rollback", request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	return follow(response, progress)
}
