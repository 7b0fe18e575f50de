// Package page serves what an agent knows to people with a browser: it takes the same
// sources as the API, and gives HTML that is complete without a script. Every text is
// escaped, its invisible characters are shown, and no answer is larger than 300 kB.
package page

import (
	"bytes"
	"net/http"
	"time"

	"github.com/a-h/templ"

	"coin.internal/coin-agent/agent/access"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
)

// Pages are the pages about one node. API is required.
type Pages struct {
	API     *control.Server
	Stacks  func() []record.StackKey // of the node, in their order; nil for the only one
	Fleet   Nodes                    // of the environment; nil where they are not known
	Version string                   // of the agent

	sent  sent
	nodes nodes
}

// frame is what each page has around its content.
type frame struct {
	Node    string
	Title   string
	Nav     string    // the link of the navigation that is current
	At      time.Time // when the page was made
	Event   string    // the ID of the last event before that
	Actor   string    // who has a session; "" without a session
	Version string
	Stack   record.StackKey // that the page is about; "" for the only one of the node
	Stacks  []choice        // of a node with several
	Follow  bool            // it shows what events are about
	Fleet   bool            // there is a page of the nodes
	Still   bool            // it stays as it is: a user fills in a form
	Form    string          // the code of the forms of a session that may act; "" for one that only reads
	room    *room           // for its lists
}

// Handler answers requests for pages, and gives all others to the API.
func (p *Pages) Handler(api http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", api)
	mux.HandleFunc("GET "+access.AssetPath, p.Assets)
	for pattern, show := range map[string]func(*http.Request, frame) (templ.Component, error){
		"GET /{$}":                  p.overview,
		"GET /plan":                 p.plan,
		"GET /syncs":                p.history,
		"GET /syncs/{id}":           p.sync,
		"GET /secrets":              p.secrets,
		"GET /services/{name}/logs": p.logs,
		"GET /act/{act}":            p.ask,
		"GET /fleet":                p.fleet,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			at := p.frame(r)
			shown, err := show(r, at)
			if err != nil {
				p.refuse(w, r, at, err)
				return
			}
			answer(w, r, http.StatusOK, shown)
		})
	}
	mux.HandleFunc("POST /act/{act}", p.do(api))
	return mux
}

// refuse answers with a page that says why there is no other one.
func (p *Pages) refuse(w http.ResponseWriter, r *http.Request, at frame, err error) {
	at.Title = "Not shown"
	if _, unknown := p.desk(at); unknown != nil {
		at.Stack = "" // so that the links of this page lead to one that is shown
	}
	answer(w, r, control.StatusOf(err), refused(at, say(err.Error(), longText), pieces(fault.Hint(err))))
}

// frame gives what surrounds the answer to a request.
func (p *Pages) frame(r *http.Request) frame {
	space := pageRoom
	at := frame{Node: say(p.API.Node.String(), shortText), At: time.Now().UTC(), Version: p.Version, Fleet: p.Fleet != nil, room: &space}
	if events := p.API.Events.Since("").Events; len(events) > 0 {
		at.Event = events[len(events)-1].ID
	}
	if actor := control.Peer(r.Context()); actor.By == audit.ByToken {
		at.Actor = actor.String()
	}
	if control.CallerOf(r.Context()).Scope.Allows(control.ScopeOperate) {
		at.Form = access.FormOf(r.Context())
	}
	p.choose(r, &at)
	return at
}

// Form answers with a form that asks for a token.
func (p *Pages) Form(w http.ResponseWriter, r *http.Request, status int, why string) {
	next := access.Local(r.URL.RequestURI())
	if r.URL.Path == access.LoginPath {
		next = "/"
		if r.Method == http.MethodPost {
			next = access.Local(r.PostForm.Get("next"))
		}
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
		// A link from another site, such as GitLab: a browser sends no session with it. It does
		// with the request that this header makes it send.
		w.Header().Set("Refresh", "0")
	}
	at := frame{Node: say(p.API.Node.String(), shortText), Title: "Log in", At: time.Now().UTC(), Version: p.Version}
	answer(w, r, status, login(at, next, why))
}

// policy is what a browser may do with a page: load the agent's own files, ask the agent.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// answer writes a page. What fails fails before the first byte.
func answer(w http.ResponseWriter, r *http.Request, status int, shown templ.Component) {
	var text bytes.Buffer
	if err := shown.Render(r.Context(), &text); err != nil {
		http.Error(w, "the page cannot be shown", http.StatusInternalServerError)
		return
	}
	harden(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(text.Bytes())
}

func harden(header http.Header) {
	for name, value := range map[string]string{
		"Content-Security-Policy":      policy,
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Permissions-Policy":           "camera=(), geolocation=(), microphone=()",
		"Referrer-Policy":              "same-origin", // with none, a browser sends forms without their origin
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
	} {
		header.Set(name, value)
	}
}
