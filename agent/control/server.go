// Package control serves an agent to its users: it takes requests on the control socket,
// or on any listener, and gives answers and streams of progress as JSON. All goroutines
// of a server end before its Serve returns.
package control

import (
	"context"
	"net/http"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/consent"
	"coin.internal/coin-agent/agent/events"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/internal/fault"
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
	Page(query record.Query) (record.Page, error)
}

// auditor checks the audit log with the node's key, which stays in the daemon.
type auditor interface{ Verify() (audit.Report, error) }

// feed has the last events.
type feed interface{ Since(id string) events.Batch }

// Server is what the endpoints ask. All fields are required.
type Server struct {
	Desk    func(stack record.StackKey) (Desk, error)          // "" for the only stack
	Status  func(stack record.StackKey) (report.Status, error) // "" for the node; nil: a desk says it
	History history
	Audit   auditor
	Events  feed
	Logs    func(stack record.StackKey) (Logs, error) // "" for the only stack
	Node    report.Node                               // whose syncs the history has
}

// handlers are the endpoints of a server, and the work that they started.
type handlers struct {
	server     *Server
	background *background
	streams    *ration // that are open
	turns      *ration // of the answers that may be large
}

// Parameters of requests.
const (
	ofStack = "stack"  // the stack that the request is about
	detach  = "detach" // answer at once
)

// nothing is the body of a request that has none.
type nothing struct{}

// Handler gives the endpoints, to be mounted on a server of any listener, which says by
// WithPeer or WithCaller who asks. What they start ends when ctx ends; wait returns then.
func (s *Server) Handler(ctx context.Context) (handler http.Handler, wait func()) {
	h := &handlers{server: s, background: newBackground(ctx), streams: newRation(maxStreams, readStreams, ownStreams), turns: newRation(mostLarge, mostRead, mostOwn)}
	mux := http.NewServeMux()
	for _, route := range append(h.reads(), h.acts()...) {
		mux.HandleFunc(route.pattern, within(route.scope, route.handler))
	}
	return mux, h.background.running.Wait
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
		h.progress(w, r, desk, func(ctx context.Context, progress func(string)) (*record.Sync, error) {
			done, err := run(ctx, progress)
			return done, ofStackAsked(r, err)
		}, ofStackAsked(r, err))
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
		answer(w, result, ofStackAsked(r, err))
	}
}

// ofStackAsked completes the commands of an error's hint by the stack that the request names.
func ofStackAsked(r *http.Request, err error) error {
	hint := fault.Hint(err)
	if named := record.StackKey(r.URL.Query().Get(ofStack)).In(hint); named != hint {
		return fault.WithHint(err, named)
	}
	return err
}
