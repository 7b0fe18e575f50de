// Package control serves an agent to its users: it takes requests on the control socket,
// or on any listener, and gives answers and streams of progress as JSON. All goroutines
// of a server end before its Serve returns.
package control

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/consent"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
)

// Desk takes the requests for one stack.
type Desk interface {
	Status() report.Status
	Rollout() *report.Rollout

	// The next three decide on requests that start a sync, and give what then does it.
	GrantSync(actor audit.Actor, asked request.Sync) (request.Run, error)
	GrantRetry(actor audit.Actor, asked request.Retry) (request.Run, error)
	GrantRollback(actor audit.Actor, asked request.Rollback) (request.Run, error)
	PlanRollback(ctx context.Context, actor audit.Actor, asked request.Rollback) (*request.RollbackPlan, error)

	Pause(actor audit.Actor, asked request.Pause) (*record.Pause, error)
	Resume(ctx context.Context, actor audit.Actor, asked request.Resume) (request.Resumed, error)
	Approve(actor audit.Actor, asked request.Approve) (*record.Approval, error)
	Adopted() (consent.Record, error)
	PlanAdoption() (*request.AdoptionPlan, error)
	Adopt(actor audit.Actor, asked request.Adopt) (*record.Consent, error)

	Survey(ctx context.Context) (*inventory.Survey, error)
	Collect(ctx context.Context, actor audit.Actor) (*inventory.Survey, error)
}

// history is the recorded syncs.
type history interface {
	Sync(id uint64) (found *record.Sync, oldest, newest uint64, err error)
	History(limit int) ([]record.Sync, error)
}

// auditor checks the audit log with the node's key, which stays in the daemon.
type auditor interface{ Verify() (audit.Report, error) }

// Server is what the endpoints ask. All fields are required.
type Server struct {
	Desk    func(stack record.StackKey) (Desk, error) // "" for the only stack
	History history
	Audit   auditor
}

// handlers are the endpoints of a server, and the work that they started.
type handlers struct {
	server     *Server
	background *background
}

// Parameters of requests.
const (
	ofStack = "stack"  // the stack that the request is about
	detach  = "detach" // answer at once
)

// nothing is the body of a request that has none.
type nothing struct{}

// Handler gives the endpoints, to be mounted on a server of any listener; that server's
// ConnContext should be WithPeer. What they start ends when ctx ends; wait returns then.
func (s *Server) Handler(ctx context.Context) (handler http.Handler, wait func()) {
	h := &handlers{server: s, background: newBackground(ctx)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/history", h.history)
	mux.HandleFunc("GET /v1/syncs/{id}", h.one)
	mux.HandleFunc("GET /v1/audit/verify", func(w http.ResponseWriter, _ *http.Request) {
		report, err := s.Audit.Verify()
		answer(w, report, err)
	})
	mux.HandleFunc("POST /v1/sync", granting(h, Desk.GrantSync))
	mux.HandleFunc("POST /v1/retry", granting(h, Desk.GrantRetry))
	mux.HandleFunc("POST /v1/rollback", granting(h, Desk.GrantRollback))
	mux.HandleFunc("POST /v1/resume", asking(h, Desk.Resume))
	mux.HandleFunc("POST /v1/rollback/plan", asking(h, func(desk Desk, ctx context.Context, actor audit.Actor, asked request.Rollback) (*request.RollbackPlan, error) {
		plan, err := desk.PlanRollback(ctx, actor, asked)
		if err != nil {
			return nil, request.Refused{Kind: request.Conflict, Err: err} // with the reason that the agent has against it
		}
		return plan, nil
	}))
	mux.HandleFunc("POST /v1/pause", asking(h, func(desk Desk, _ context.Context, actor audit.Actor, asked request.Pause) (*record.Pause, error) {
		return desk.Pause(actor, asked)
	}))
	mux.HandleFunc("POST /v1/approve", asking(h, func(desk Desk, _ context.Context, actor audit.Actor, asked request.Approve) (*record.Approval, error) {
		return desk.Approve(actor, asked)
	}))
	mux.HandleFunc("GET /v1/adopted", asking(h, func(desk Desk, _ context.Context, _ audit.Actor, _ nothing) (consent.Record, error) {
		return desk.Adopted()
	}))
	mux.HandleFunc("GET /v1/adopt", asking(h, func(desk Desk, _ context.Context, _ audit.Actor, _ nothing) (*request.AdoptionPlan, error) {
		return desk.PlanAdoption()
	}))
	mux.HandleFunc("POST /v1/adopt", asking(h, func(desk Desk, _ context.Context, actor audit.Actor, asked request.Adopt) (*record.Consent, error) {
		return desk.Adopt(actor, asked)
	}))
	mux.HandleFunc("GET /v1/status", asking(h, func(desk Desk, _ context.Context, _ audit.Actor, _ nothing) (report.Status, error) {
		return desk.Status(), nil
	}))
	mux.HandleFunc("GET /v1/secrets", asking(h, func(desk Desk, ctx context.Context, _ audit.Actor, _ nothing) (*inventory.Survey, error) {
		return desk.Survey(ctx)
	}))
	mux.HandleFunc("POST /v1/secrets/collect", asking(h, func(desk Desk, ctx context.Context, actor audit.Actor, _ nothing) (*inventory.Survey, error) {
		return desk.Collect(ctx, actor)
	}))
	return mux, h.background.running.Wait
}

// Serve answers on a listener until ctx ends, and returns when all requests and all that
// they started have ended.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	asked, cancel := context.WithCancel(ctx)
	handler, wait := s.Handler(asked)
	err := Serve(ctx, listener, handler)
	cancel()
	wait()
	return err
}

func (h *handlers) history(w http.ResponseWriter, r *http.Request) {
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil {
		limit = 20
	}
	syncs, err := h.server.History.History(limit)
	answer(w, syncs, err)
}

// one answers with one sync.
func (h *handlers) one(w http.ResponseWriter, r *http.Request) {
	sync, err := FindSync(h.server.History, r.PathValue("id"))
	if errors.Is(err, ErrNoSync) {
		err = request.Refused{Kind: request.NotFound, Err: err}
	}
	answer(w, sync, err)
}

// open gives the desk of the stack that a request is about, and the request's body.
func open[T any](h *handlers, r *http.Request) (desk Desk, asked T, err error) {
	if desk, err = h.server.Desk(record.StackKey(r.URL.Query().Get(ofStack))); err == nil {
		asked, err = read[T](r)
	}
	return desk, asked, err
}

// granting streams what a granted request does.
func granting[T any](h *handlers, grant func(Desk, audit.Actor, T) (request.Run, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var run request.Run
		desk, asked, err := open[T](h, r)
		if err == nil {
			run, err = grant(desk, Peer(r.Context()), asked)
		}
		h.stream(w, r, desk, run, err)
	}
}

// asking answers a request with its result. A client that goes away has asked all the
// same, unless the request only reads.
func asking[T, R any](h *handlers, ask func(Desk, context.Context, audit.Actor, T) (R, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if r.Method != http.MethodGet {
			detached, cancel := h.background.detach(ctx)
			defer cancel()
			ctx = detached
		}
		var result R
		desk, asked, err := open[T](h, r)
		if err == nil {
			result, err = ask(desk, ctx, Peer(ctx), asked)
		}
		answer(w, result, err)
	}
}
