package control

import (
	"context"
	"net/http"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/consent"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
)

// route is an endpoint, and the scope that it needs. openapi.json describes each of them.
type route struct {
	pattern string
	scope   Scope
	handler http.HandlerFunc
}

// reads are the endpoints that only tell something. The status is always answered.
func (h *handlers) reads() []route {
	read := func(pattern string, handler http.HandlerFunc) route { return route{pattern, ScopeRead, handler} }
	return append(h.large(
		read("GET /v1/plan", asking(h, func(desk Desk, _ context.Context, _ audit.Actor, _ nothing) (Plan, error) {
			return h.server.PlanFor(desk)
		})),
		read("GET /v1/syncs", h.syncs),
		read("GET /v1/syncs/{id}", h.one),
		read("GET /v1/secrets", asking(h, func(desk Desk, ctx context.Context, _ audit.Actor, _ nothing) (*inventory.Survey, error) {
			return desk.Survey(ctx)
		})),
		read("GET /v1/audit/verify", func(w http.ResponseWriter, _ *http.Request) {
			report, err := h.server.Audit.Verify()
			answer(w, report, err)
		}),
	),
		read("GET /v1/status", h.status),
		read("GET /v1/services/{name}/logs", h.logLines),
		read("GET /v1/events", h.events),
		read("GET /v1/openapi.json", document),
		read("GET /v1/adopted", asking(h, func(desk Desk, _ context.Context, _ audit.Actor, _ nothing) (consent.Record, error) {
			return desk.Adopted()
		})),
		read("GET /v1/adopt", asking(h, func(desk Desk, _ context.Context, _ audit.Actor, _ nothing) (*request.AdoptionPlan, error) {
			return desk.PlanAdoption()
		})),
	)
}

// acts are the endpoints that have the agent act, or prepare that.
func (h *handlers) acts() []route {
	act := func(pattern string, handler http.HandlerFunc) route { return route{pattern, ScopeOperate, handler} }
	return []route{
		act("POST /v1/sync", granting(h, Desk.GrantSync)),
		act("POST /v1/retry", granting(h, Desk.GrantRetry)),
		act("POST /v1/rollback", granting(h, Desk.GrantRollback)),
		act("POST /v1/rollback/plan", asking(h, func(desk Desk, ctx context.Context, actor audit.Actor, asked request.Rollback) (*request.RollbackPlan, error) {
			plan, err := desk.PlanRollback(ctx, actor, asked)
			if err != nil {
				return nil, request.Refused{Kind: request.Conflict, Err: err} // with the reason that the agent has against it
			}
			return plan, nil
		})),
		act("POST /v1/resume", asking(h, Desk.Resume)),
		act("POST /v1/pause", asking(h, func(desk Desk, _ context.Context, actor audit.Actor, asked request.Pause) (*record.Pause, error) {
			return desk.Pause(actor, asked)
		})),
		act("POST /v1/approve", asking(h, func(desk Desk, _ context.Context, actor audit.Actor, asked request.Approve) (*record.Approval, error) {
			return desk.Approve(actor, asked)
		})),
		act("POST /v1/adopt", asking(h, func(desk Desk, _ context.Context, actor audit.Actor, asked request.Adopt) (*record.Consent, error) {
			return desk.Adopt(actor, asked)
		})),
		act("POST /v1/secrets/collect", asking(h, func(desk Desk, ctx context.Context, actor audit.Actor, _ nothing) (*inventory.Survey, error) {
			return desk.Collect(ctx, actor)
		})),
	}
}
