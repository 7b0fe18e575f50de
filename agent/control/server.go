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
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
)

// node is the state of the node.
type node interface {
	Status() report.Status
	Rollout() *report.Rollout
}

// history is the recorded syncs.
type history interface {
	Sync(id uint64) (found *record.Sync, oldest, newest uint64, err error)
	History(limit int) ([]record.Sync, error)
}

// granter decides on requests that start a sync, and gives what then does it.
type granter interface {
	GrantSync(actor audit.Actor, asked request.Sync) (request.Run, error)
	GrantRetry(actor audit.Actor, asked request.Retry) (request.Run, error)
	GrantRollback(actor audit.Actor, asked request.Rollback) (request.Run, error)
}

// planner plans a rollback.
type planner interface {
	PlanRollback(ctx context.Context, actor audit.Actor, asked request.Rollback) (*request.RollbackPlan, error)
}

// decider takes users' decisions.
type decider interface {
	Pause(actor audit.Actor, asked request.Pause) (*record.Pause, error)
	Resume(ctx context.Context, actor audit.Actor, asked request.Resume) (request.Resumed, error)
	Approve(actor audit.Actor, asked request.Approve) (*record.Approval, error)
}

// versions is the inventory of secrets and configs.
type versions interface {
	Survey(ctx context.Context) (*inventory.Survey, error)
	Collect(ctx context.Context, actor audit.Actor) (*inventory.Survey, error)
}

// auditor knows the head of the audit log.
type auditor interface{ Head() audit.Head }

// Desk takes the requests for one stack.
type Desk interface {
	node
	granter
	planner
	decider
	versions
}

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
	ofStack        = "stack"           // the stack that the request is about
	overrideFreeze = "override_freeze" // why a freeze does not hold
	detach         = "detach"          // answer at once
)

// Handler gives the endpoints, to be mounted on a server of any listener; that server's
// ConnContext should be WithPeer. What they start ends when ctx ends; wait returns then.
func (s *Server) Handler(ctx context.Context) (handler http.Handler, wait func()) {
	h := &handlers{server: s, background: newBackground(ctx)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", h.status)
	mux.HandleFunc("GET /v1/history", h.history)
	mux.HandleFunc("GET /v1/syncs/{id}", h.one)
	mux.HandleFunc("GET /v1/audit/head", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.Audit.Head(), nil) })
	mux.HandleFunc("POST /v1/sync", h.sync)
	mux.HandleFunc("POST /v1/retry", granting(h, Desk.GrantRetry))
	mux.HandleFunc("POST /v1/rollback", granting(h, Desk.GrantRollback))
	mux.HandleFunc("POST /v1/rollback/plan", deciding(h, func(desk Desk, ctx context.Context, actor audit.Actor, asked request.Rollback) (*request.RollbackPlan, error) {
		plan, err := desk.PlanRollback(ctx, actor, asked)
		if err != nil {
			return nil, request.Refused{Kind: request.Conflict, Err: err} // with the reason that the agent has against it
		}
		return plan, nil
	}))
	mux.HandleFunc("POST /v1/pause", deciding(h, func(desk Desk, _ context.Context, actor audit.Actor, asked request.Pause) (*record.Pause, error) {
		return desk.Pause(actor, asked)
	}))
	mux.HandleFunc("POST /v1/resume", deciding(h, Desk.Resume))
	mux.HandleFunc("POST /v1/approve", deciding(h, func(desk Desk, _ context.Context, actor audit.Actor, asked request.Approve) (*record.Approval, error) {
		return desk.Approve(actor, asked)
	}))
	mux.HandleFunc("GET /v1/secrets", h.survey)
	mux.HandleFunc("POST /v1/secrets/collect", h.collect)
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

// desk gives the desk of the stack that a request is about.
func (h *handlers) desk(r *http.Request) (Desk, error) {
	return h.server.Desk(record.StackKey(r.URL.Query().Get(ofStack)))
}

func (h *handlers) status(w http.ResponseWriter, r *http.Request) {
	desk, err := h.desk(r)
	var status report.Status
	if err == nil {
		status = desk.Status()
	}
	answer(w, status, err)
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

// sync starts a sync.
func (h *handlers) sync(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	asked := request.Sync{OverrideFreeze: query.Has(overrideFreeze), Reason: query.Get(overrideFreeze)}
	desk, err := h.desk(r)
	var run request.Run
	if err == nil {
		run, err = desk.GrantSync(Peer(r.Context()), asked)
	}
	h.stream(w, r, desk, run, err)
}

// granting streams what a granted request does.
func granting[T any](h *handlers, grant func(Desk, audit.Actor, T) (request.Run, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var run request.Run
		desk, err := h.desk(r)
		if err == nil {
			var asked T
			if asked, err = read[T](r); err == nil {
				run, err = grant(desk, Peer(r.Context()), asked)
			}
		}
		h.stream(w, r, desk, run, err)
	}
}

// deciding answers a request with its result. A client that goes away has asked all the
// same.
func deciding[T, R any](h *handlers, decide func(Desk, context.Context, audit.Actor, T) (R, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := h.background.detach(r.Context())
		defer cancel()
		var result R
		desk, err := h.desk(r)
		if err == nil {
			var asked T
			if asked, err = read[T](r); err == nil {
				result, err = decide(desk, ctx, Peer(r.Context()), asked)
			}
		}
		answer(w, result, err)
	}
}

// survey lists the versions of secrets and configs.
func (h *handlers) survey(w http.ResponseWriter, r *http.Request) {
	desk, err := h.desk(r)
	var survey *inventory.Survey
	if err == nil {
		survey, err = desk.Survey(r.Context())
	}
	answer(w, survey, err)
}

// collect removes old versions, and answers with what was removed even when it fails.
func (h *handlers) collect(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := h.background.detach(r.Context())
	defer cancel()
	desk, err := h.desk(r)
	var survey *inventory.Survey
	if err == nil {
		survey, err = desk.Collect(ctx, Peer(r.Context()))
	}
	if err != nil {
		deny(w, refusal{Survey: survey}, err)
		return
	}
	answer(w, survey, nil)
}
