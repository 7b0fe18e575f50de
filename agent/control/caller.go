package control

import (
	"context"
	"net/http"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/request"
)

// Scope says what a caller may do.
type Scope string

// The scopes.
const (
	ScopeRead    Scope = "read"    // ask
	ScopeOperate Scope = "operate" // ask, and have the agent act
)

// Allows reports whether a caller of this scope may do what needs another one.
func (s Scope) Allows(needed Scope) bool {
	return s == ScopeOperate || s == ScopeRead && needed == ScopeRead
}

// Caller is the one who sent a request, and what the agent lets them do.
type Caller struct {
	Actor audit.Actor
	Scope Scope
}

// callerKey is the key of the caller in a context.
type callerKey struct{}

// WithCaller gives the context of a request of a caller.
func WithCaller(ctx context.Context, caller Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

// Peer gives the actor of a request.
func Peer(ctx context.Context) audit.Actor {
	if caller, ok := ctx.Value(callerKey{}).(Caller); ok {
		return caller.Actor
	}
	return audit.Actor{By: audit.ByUser, Name: audit.LocalName("unknown")}
}

// CallerOf gives the caller of a request; one without a scope if none is known.
func CallerOf(ctx context.Context) Caller {
	caller, _ := ctx.Value(callerKey{}).(Caller)
	return caller
}

// within lets a handler answer callers whose scope allows it.
func within(needed Scope, handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !CallerOf(r.Context()).Scope.Allows(needed) {
			hint := "use a token with the scope " + string(needed) + ", or run the command on the node"
			if CallerOf(r.Context()).Actor.By == audit.ByUser {
				hint = "run it as root, or have root add the user to `operators` in agent.yml and restart the agent"
			}
			answer(w, nil, request.Refuse(request.Forbidden, hint, "%s may not do this: it needs the scope %s", Peer(r.Context()), needed))
			return
		}
		handler(w, r)
	}
}
