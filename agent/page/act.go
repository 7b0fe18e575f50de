package page

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"coin.internal/coin-agent/agent/access"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/internal/fault"
)

// act is something that a user has the agent do. Its words are those of the command.
type act struct {
	Name, Title, Does string
	when              func(*report.Status) bool // it is offered
}

// acts are what the page offers, the most likely first.
var acts = []act{ //nolint:gochecknoglobals // a constant list
	{"approve", "Approve", "Approves the plan of the commit that waits for approval. The approval is valid for this plan only.", approvable},
	{"retry", "Retry", "Tries the held revision again.", func(s *report.Status) bool {
		return s.Sync != nil && (s.Sync.State == record.Failed || s.Sync.State == record.RolledBack) && !s.Sync.PinnedByUser()
	}},
	{"resume", "Resume", "Ends a pause, and unpins the node after a rollback. The rollout that is due then starts at once, unless another gate waits.", func(s *report.Status) bool {
		return s.Pause != nil || s.Pinned != nil
	}},
	{"sync", "Sync", "Syncs now; a held or waiting revision is tried again. It replaces no approval, and ends no pause and no freeze.", func(*report.Status) bool { return true }},
	{"pause", "Pause", "Starts no rollouts on this node for a time, or until a user resumes. A running rollout will finish.", func(s *report.Status) bool { return s.Pause == nil }},
	{"rollback", "Roll back", "Rolls back to a good state, and stays pinned there until the next commit or until a user resumes.", func(s *report.Status) bool { return s.Applied != nil }},
}

func approvable(s *report.Status) bool {
	return s.Sync != nil && s.Sync.State == record.Waiting && slices.ContainsFunc(s.Sync.Gates, gates.TakesApproval)
}

// offered gives what a session may have the agent do now; none for one that only reads.
func (f frame) offered(s *report.Status) (list []act) {
	for _, one := range acts {
		if f.Form != "" && one.when(s) {
			list = append(list, one)
		}
	}
	return list
}

// mayAct refuses those who only read, in words.
func mayAct(r *http.Request, name string) error {
	caller := control.CallerOf(r.Context())
	switch {
	case access.FormOf(r.Context()) == "" && caller.Actor.By != audit.ByToken:
		return request.Refuse(request.Forbidden, "run `agent "+name+"` on the node, or log in at the address of api_listen with a token of the scope operate",
			"over the control socket the page only reads: the agent does not know who uses the browser. Nothing was done")
	case access.FormOf(r.Context()) == "":
		return request.Refuse(request.Forbidden, "ask POST /v1/"+name+" instead", "forms act only for a session of the page. Nothing was done")
	case !caller.Scope.Allows(control.ScopeOperate):
		return request.Refuse(request.Forbidden, "log in with a token of the scope operate, or run `agent "+name+"` on the node",
			"%s only reads. Nothing was done", caller.Actor)
	}
	return nil
}

// filled is a form with what a user has filled in, and what it is about.
type filled struct {
	act               act
	Mark, Reason, For string
	Sync              uint64 // the last sync when the form was made
	Commit, Digest    string // of the plan that is shown
	To                uint64 // the good state
	Now               string // the node's verdict
	About             string
	Plan              *diff
	Why               string // it was refused
	Hint              []piece
}

// patience is how long the page waits for the outcome, which is shown on the overview else.
const patience = 3 * time.Second

// ask shows the form of an act, with what it would do.
func (p *Pages) ask(r *http.Request, at frame) (templ.Component, error) {
	one, err := actOf(r)
	if err != nil {
		return nil, err
	}
	to, _ := strconv.ParseUint(r.URL.Query().Get("to"), 10, 64) // anything else is the default
	return p.form(r, at, filled{act: one, To: to})
}

// actOf gives what a request is about, if its caller may have it done.
func actOf(r *http.Request) (act, error) {
	name := r.PathValue("act")
	at := slices.IndexFunc(acts, func(a act) bool { return a.Name == name })
	if at < 0 {
		return act{}, request.Refuse(request.NotFound, "go back to the overview", "the page has no form %q", name)
	}
	return acts[at], mayAct(r, name)
}

// form makes a form, for the state in which the node is now.
func (p *Pages) form(r *http.Request, at frame, f filled) (templ.Component, error) {
	desk, err := p.desk(at)
	if err != nil {
		return nil, err
	}
	status := desk.Status() // before the plan: a plan that is newer than its digest is not applied
	word, commit := report.Verdict(&status)
	f.Mark, f.Now = rand.Text(), say(joined(word, commit), midText)
	if status.Sync != nil {
		f.Sync = status.Sync.ID
	}
	switch f.act.Name {
	case "pause", "resume":
		f.Digest = held(&status)
	case "approve":
		err = p.aboutApproval(desk, &status, at, &f)
	case "rollback":
		err = aboutRollback(r, desk, at, &f)
	}
	if err != nil {
		return nil, err
	}
	at.Title, at.Nav, at.Still = f.act.Title, "/", true
	return actPage(at, f), nil
}

func (p *Pages) aboutApproval(desk control.Desk, status *report.Status, at frame, f *filled) error {
	if !approvable(status) {
		return request.Refuse(request.Conflict, "the overview shows what is being done", "no rollout waits for approval")
	}
	plan, err := p.API.PlanFor(desk)
	if err != nil {
		return err
	}
	shown := diffOf(plan, planLines, at.room)
	f.Commit, f.Digest, f.Plan = status.Sync.Commit, status.Sync.PlanDigest, &shown
	f.About = say("Commit "+record.Short(f.Commit)+" of "+byWhom(status.Sync.Subject, status.Sync.Author), midText)
	return nil
}

func aboutRollback(r *http.Request, desk control.Desk, at frame, f *filled) error {
	plan, err := desk.PlanRollback(r.Context(), control.Peer(r.Context()), request.Rollback{To: f.To})
	if err != nil {
		return request.Refused{Kind: request.Conflict, Err: err}
	}
	f.To, f.Digest = plan.To, plan.Digest
	f.About = say("From "+record.Short(plan.Leaves)+" to "+record.Short(plan.Commit)+" of sync #"+strconv.FormatUint(plan.To, 10)+", verified "+stamp(plan.At), midText)
	shown := diff{About: say(report.PlanIntent(plan.Plan), midText)}
	shown.Lines, shown.More = linesOf(plan.Plan, planLines, at.room)
	f.Plan = &shown
	return nil
}

// do does what a form asks for, once, and leads to the overview. A refusal comes with the form.
func (p *Pages) do(api http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		at := p.frame(r)
		one, err := actOf(r)
		f := filled{act: one}
		if err == nil {
			f, err = readForm(r, one)
		}
		if err != nil {
			p.refuse(w, r, at, err)
			return
		}
		overview := string(at.to("/", "done", f.Mark))
		if !p.sent.begin(f.Mark) {
			http.Redirect(w, r, overview, http.StatusSeeOther)
			return
		}
		done, err := p.perform(r, control.Inside(api).Of(at.Stack), at, &f)
		if err == nil {
			p.sent.end(f.Mark, say(at.Actor+": "+done+": "+f.Reason, midText))
			http.Redirect(w, r, overview, http.StatusSeeOther)
			return
		}
		p.sent.end(f.Mark, say(f.act.Title+" was refused: "+err.Error(), midText))
		status := refusalStatus(err)
		f.Why, f.Hint = say(err.Error(), longText), pieces(fault.Hint(err))
		shown, unshown := p.form(r, at, f)
		if unshown != nil {
			p.refuse(w, r, at, err)
			return
		}
		answer(w, r, status, shown)
	}
}

// refusalStatus gives the status of a page that says why the agent refused what was asked.
func refusalStatus(err error) int {
	if status := control.StatusOf(err); status != http.StatusInternalServerError {
		return status
	}
	return http.StatusConflict
}

// readForm reads what a user has filled in.
func readForm(r *http.Request, of act) (f filled, err error) {
	text := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	f = filled{act: of, Mark: text("mark"), Reason: text("reason"), For: text("for"), Commit: text("commit"), Digest: text("digest")}
	if n := len(f.Mark); n < shortMark || n > longMark {
		return f, request.Refuse(request.Invalid, "open the form again", "the form is not whole. Nothing was done")
	}
	for name, number := range map[string]*uint64{"sync": &f.Sync, "to": &f.To} {
		if *number, err = strconv.ParseUint(text(name), 10, 64); err != nil {
			return f, request.Refuse(request.Invalid, "open the form again", "the form is not whole. Nothing was done")
		}
	}
	return f, nil
}

// perform asks the agent's own API, and gives what was done, or begins.
func (p *Pages) perform(r *http.Request, api *control.Client, at frame, f *filled) (done string, err error) {
	if f.Reason, err = request.Reason(f.Reason, false); err != nil {
		return "", err
	}
	if f.Reason == "" {
		return "", request.Refuse(request.Invalid, "write why: the audit log shows it", "a reason is missing")
	}
	// What has begun goes on when the browser does not wait for it, so that its outcome is noted.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), patience)
	defer cancel()
	var ended *record.Sync
	quietly := func(control.Event) {}
	switch f.act.Name {
	case "approve":
		_, err = api.Approve(ctx, request.Approve{Commit: f.Commit, Plan: f.Digest, Reason: f.Reason})
	case "resume", "pause":
		if err = p.unpaused(at, f.Digest); err != nil {
			return "", err
		}
		if f.act.Name == "pause" {
			_, err = api.Pause(ctx, request.Pause{For: f.For, Reason: f.Reason})
			break
		}
		_, err = api.Resume(ctx, request.Resume{Reason: f.Reason})
	case "rollback":
		ended, err = api.Rollback(ctx, request.Rollback{To: f.To, Digest: f.Digest, Reason: f.Reason}, quietly)
	case "retry", "sync":
		if err = p.unmoved(at, f.Sync); err != nil {
			return "", err
		}
		if f.act.Name == "retry" {
			ended, err = api.Retry(ctx, request.Retry{Reason: f.Reason}, quietly)
		} else {
			ended, err = api.Sync(ctx, request.Sync{Reason: f.Reason}, quietly)
		}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return f.act.Title + " has begun", nil
	case err != nil && ended != nil: // it is on record, and the overview shows it
		return f.act.Title + " has ended", nil
	}
	return f.act.Title, err
}

// unmoved refuses what was asked for another state than that of now: a form that a browser sends
// again, or from a tab of yesterday.
func (p *Pages) unmoved(at frame, last uint64) error {
	desk, err := p.desk(at)
	if err != nil {
		return err
	}
	if sync := desk.Status().Sync; sync != nil && sync.ID != last {
		return request.Refuse(request.Conflict, "look at it first, then send the form again", "sync #%d has begun since the form was made. Nothing was done", sync.ID)
	}
	return nil
}

// unpaused refuses a pause or its end for another state than that of now, as unmoved does.
func (p *Pages) unpaused(at frame, before string) error {
	desk, err := p.desk(at)
	if err != nil {
		return err
	}
	if status := desk.Status(); held(&status) != before {
		return request.Refuse(request.Conflict, "look at it first, then send the form again", "another user has paused, resumed or rolled back since the form was made. Nothing was done")
	}
	return nil
}

// held tells pauses and pinned rollbacks apart; "" where there are none.
func held(status *report.Status) (text string) {
	if status.Pause != nil {
		text = "paused since " + status.Pause.Since.UTC().Format(time.RFC3339Nano)
	}
	if status.Pinned != nil {
		text += " pinned since " + status.Pinned.Since.UTC().Format(time.RFC3339Nano)
	}
	return strings.TrimSpace(text)
}
