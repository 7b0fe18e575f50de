package control

import "context"

// Routes gives the patterns and scopes of all endpoints.
func Routes() map[string]Scope {
	h := &handlers{server: &Server{}, background: newBackground(context.Background())}
	routes := map[string]Scope{}
	for _, route := range append(h.reads(), h.acts()...) {
		routes[route.pattern] = route.scope
	}
	return routes
}

// Refusal is the answer of an endpoint that fails.
type Refusal = refusal
