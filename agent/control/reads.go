package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/deploy"
)

const (
	defaultPage = 20
	longestPage = 200
)

// status answers with the status of a stack, or of a node with several.
func (h *handlers) status(w http.ResponseWriter, r *http.Request) {
	stack := record.StackKey(r.URL.Query().Get(ofStack))
	if h.server.Status != nil {
		status, err := h.server.Status(stack)
		answer(w, status, err)
		return
	}
	desk, err := h.server.Desk(stack)
	if err != nil {
		answer(w, nil, err)
		return
	}
	answer(w, desk.Status(), nil)
}

// history answers with a page of the history.
func (h *handlers) syncs(w http.ResponseWriter, r *http.Request) {
	query, err := ReadQuery(r.URL.Query())
	if err == nil && query.Stack != "" {
		_, err = h.server.Desk(query.Stack)
	}
	if err != nil {
		answer(w, nil, err)
		return
	}
	page, err := h.server.History.Page(query)
	answer(w, page, err)
}

// ReadQuery reads what a request asks of the history.
func ReadQuery(values url.Values) (query record.Query, err error) {
	query = record.Query{
		Stack: record.StackKey(values.Get(ofStack)), State: record.State(values.Get("state")), Failed: IsSet(values, "failed"),
		Service: values.Get("service"), Author: values.Get("author"), Limit: defaultPage,
	}
	refuse := func(name, hint string) error {
		return request.Refuse(request.Invalid, hint, "%s cannot be %q", name, values.Get(name))
	}
	if text := values.Get("limit"); text != "" {
		if query.Limit, err = strconv.Atoi(text); err != nil || query.Limit < 1 || query.Limit > longestPage {
			return query, refuse("limit", fmt.Sprintf("write a number from 1 to %d, and follow next", longestPage))
		}
	}
	if text := values.Get("before"); text != "" {
		if query.Before, err = strconv.ParseUint(text, 10, 64); err != nil {
			return query, refuse("before", "write the next of the page before")
		}
	}
	if text := values.Get("since"); text != "" {
		if query.Since, err = time.Parse(time.RFC3339, text); err != nil {
			return query, refuse("since", "write a time such as 2026-01-31T08:00:00Z")
		}
	}
	if query.State != "" && !query.State.Known() {
		return query, refuse("state", "write pending, waiting, running, succeeded, failed, rolled_back or superseded")
	}
	return query, nil
}

// Values writes a query as the parameters that ReadQuery reads.
func Values(query record.Query) url.Values {
	values := url.Values{}
	set := func(name, value string) {
		if value != "" {
			values.Set(name, value)
		}
	}
	set(ofStack, string(query.Stack))
	set("state", string(query.State))
	set("service", query.Service)
	set("author", query.Author)
	if query.Failed {
		set("failed", "true")
	}
	if !query.Since.IsZero() {
		set("since", query.Since.UTC().Format(time.RFC3339))
	}
	if query.Before != 0 {
		set("before", strconv.FormatUint(query.Before, 10))
	}
	if query.Limit != 0 {
		set("limit", strconv.Itoa(min(query.Limit, longestPage)))
	}
	return values
}

// IsSet reports whether a parameter is given and not "false" or "0".
func IsSet(values url.Values, name string) bool {
	on, err := strconv.ParseBool(values.Get(name))
	return values.Has(name) && (on || err != nil)
}

// Detail is one sync in full.
type Detail struct {
	Sync     *record.Sync     `json:"sync"`
	Manifest *report.Manifest `json:"manifest"`         // without the plan, which the sync has
	Report   string           `json:"report,omitempty"` // of its rollback, as Markdown; "" without one
}

// one answers with one sync.
func (h *handlers) one(w http.ResponseWriter, r *http.Request) {
	sync, err := FindSync(h.server.History, r.PathValue("id"))
	if errors.Is(err, ErrNoSync) {
		err = request.Refused{Kind: request.NotFound, Err: err}
	}
	if err != nil {
		answer(w, nil, err)
		return
	}
	detail := Detail{Sync: sync}
	if detail.Manifest, err = report.NewManifest(h.server.Node, sync); err == nil {
		detail.Manifest.Plan = nil
		detail.Report, _ = report.Rollback(h.server.Node, sync) // an error says that there was none
	}
	answer(w, detail, err)
}

// PlanOf says what a plan is about.
type PlanOf string

// What a plan is about.
const (
	PlanOfSync  PlanOf = "sync"    // the sync that waits or runs
	PlanOfDrift PlanOf = "drift"   // what differs from the deployed state
	PlanOfNone  PlanOf = "nothing" // no sync waits or runs, and nothing differs
)

// Plan is what is about to change, or what has drifted.
type Plan struct {
	Of       PlanOf              `json:"of"`
	Stack    string              `json:"stack,omitempty"`
	Sync     uint64              `json:"sync,omitempty"`
	Commit   string              `json:"commit,omitempty"`
	Release  string              `json:"release,omitempty"`
	State    record.State        `json:"state,omitempty"`
	Waiting  string              `json:"waiting,omitempty"`
	Gates    []record.Gate       `json:"gates,omitempty"`
	Loosens  []string            `json:"loosens,omitempty"` // gates that the commit loosens
	Document report.PlanDocument `json:"plan"`
	Cut      int                 `json:"cut,omitempty"` // so many steps at the end are listed without their changes
}

// PlanFor gives the present plan of a stack.
func (s *Server) PlanFor(desk Desk) (Plan, error) {
	status := desk.Status()
	plan := Plan{Of: PlanOfNone, Stack: status.Stack}
	recorded := deploy.RecordedPlan{Stack: status.Stack}
	switch sync := status.Sync; {
	case sync != nil && !sync.State.Final():
		plan.Of, plan.Sync, plan.Commit, plan.Release, plan.State = PlanOfSync, sync.ID, sync.Commit, sync.Release, sync.State
		plan.Waiting, plan.Gates, plan.Loosens = sync.Waiting, sync.Gates, sync.Loosens
		whole, _, _, err := s.History.Sync(sync.ID)
		if err != nil || whole == nil {
			return plan, err
		}
		data := whole.Plan
		if whole.RollingBack() {
			data = whole.Rollback.Plan
		}
		if len(data) > 0 { // it is made later than the sync
			if err := json.Unmarshal(data, &recorded); err != nil {
				return plan, fmt.Errorf("read the plan of sync #%d: %w", sync.ID, err)
			}
		}
	case len(status.Drift) > 0:
		plan.Of, recorded.Steps = PlanOfDrift, status.Drift
	}
	plan.Document = report.NewPlanDocument(recorded)
	plan.Document.Steps, plan.Cut = bounded(plan.Document.Steps)
	return plan, nil
}

// planBytes bounds the changes that a plan lists.
const planBytes = 2 << 20

// bounded gives the steps of a plan, the last of them without their changes if they are
// too many, and how many those are.
func bounded(steps []deploy.Step) (kept []deploy.Step, cut int) {
	size := 0
	kept = []deploy.Step{}
	for _, step := range steps {
		for _, change := range step.Changes {
			size += len(change.Path) + len(change.Old) + len(change.New)
		}
		for _, change := range step.Has {
			size += len(change.Path) + len(change.Old) + len(change.New)
		}
		if size > planBytes {
			step.Changes, step.Has = nil, nil
			cut++
		}
		kept = append(kept, step)
	}
	return kept, cut
}
