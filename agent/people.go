package agent

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
)

// What people ask of an agent, as the control socket takes it.
type (
	// PauseRequest asks that no rollout begins.
	PauseRequest struct {
		For    string `json:"for,omitempty"` // such as 2h; empty until somebody resumes
		Reason string `json:"reason"`
	}
	// ResumeRequest ends a pause.
	ResumeRequest struct {
		Reason string `json:"reason,omitempty"`
	}
	// RetryRequest has a held revision tried again.
	RetryRequest struct {
		Reason string `json:"reason,omitempty"`
	}
	// ApproveRequest approves the plan of a sync that waits for approval.
	ApproveRequest struct {
		Commit string `json:"commit"`         // at least the first 7 digits
		Plan   string `json:"plan,omitempty"` // the plan's digest, or how it begins; empty for the present one
		Reason string `json:"reason"`
	}
)

// Resumed is what a resume has ended.
type Resumed struct {
	Pause *record.Pause `json:"pause,omitempty"`
	Pin   string        `json:"pin,omitempty"` // what the node was pinned to by a rollback
}

// ungranted is a request that cannot be granted, and the HTTP status that says so.
type ungranted struct {
	code int
	err  error
}

func (u ungranted) Error() string { return u.err.Error() }
func (u ungranted) Unwrap() error { return u.err }

func refuse(code int, hint, format string, args ...any) error {
	return ungranted{code, fault.New(fault.Place{}, hint, format, args...)}
}

// maxReason bounds what people write, so that it fits where it is shown.
const maxReason = 200

// reason gives a person's reason on one line, without what a terminal would obey.
func reason(text string, required bool) (string, error) {
	text = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) || unicode.IsControl(r) && !unicode.IsSpace(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	text = strings.Join(strings.Fields(text), " ")
	switch {
	case text == "" && required:
		return "", refuse(http.StatusBadRequest, "say why with --reason: it is recorded", "a reason is missing")
	case utf8.RuneCountInString(text) > maxReason:
		return "", refuse(http.StatusBadRequest, "say it shorter", "the reason is longer than %d characters", maxReason)
	}
	return text, nil
}

// longestPause is a year: a longer one is a slip.
const longestPause = 366 * 24 * time.Hour

// Pause keeps rollouts from beginning, until it is over or somebody resumes. What has
// begun goes on. Another pause takes the place of the one before.
func (a *Agent) Pause(actor audit.Actor, request PauseRequest) (*record.Pause, error) {
	why, err := reason(request.Reason, true)
	if err != nil {
		return nil, err
	}
	pause := &record.Pause{Actor: actor, Reason: why, Since: time.Now().UTC()}
	detail := "until somebody resumes: " + why
	if request.For != "" {
		length, err := time.ParseDuration(request.For)
		if err != nil || length <= 0 || length > longestPause {
			return nil, refuse(http.StatusBadRequest, "write a duration such as 2h or 30m", "%q is no time to pause for", request.For)
		}
		pause.Until = pause.Since.Add(length)
		detail = fmt.Sprintf("until %s: %s", pause.Until.Format(time.RFC3339), why)
	}
	a.people.Lock()
	defer a.people.Unlock()
	if err := a.note(a.word(actor, audit.Pause, detail)); err != nil {
		return nil, err
	}
	if err := a.records.SavePause(pause); err != nil {
		return nil, fmt.Errorf("save pause: %w", err)
	}
	a.update(func(v *view) { v.pause = pause })
	a.Log.Info("paused", "actor", actor.String(), "until", pause.Until, "reason", why)
	a.nudge()
	return pause, nil
}

// Resume ends a pause, and the pinning to where a rollback has gone: what is due is
// done at once.
func (a *Agent) Resume(ctx context.Context, actor audit.Actor, request ResumeRequest) (Resumed, error) {
	why, err := reason(request.Reason, false)
	if err != nil {
		return Resumed{}, err
	}
	a.people.Lock()
	defer a.people.Unlock()
	ended := Resumed{Pause: a.paused()}
	if last := a.snapshot().sync; last.Pinned() {
		ended.Pin = last.Rollback.Commit
	}
	if ended.Pause == nil && ended.Pin == "" {
		return ended, refuse(http.StatusConflict, "`agent status` shows what the agent does; a revision that failed is tried again by `agent retry`", "nothing is paused, and no rollback holds a revision back")
	}
	if err := a.note(a.word(actor, audit.Resume, why)); err != nil {
		return ended, err
	}
	if err := a.records.SavePause(nil); err != nil {
		return ended, fmt.Errorf("save pause: %w", err)
	}
	a.update(func(v *view) { v.pause = nil })
	if ended.Pin != "" {
		if done := a.inLoop(ctx, false, a.unpin); done.err != nil {
			return ended, done.err
		}
	}
	a.Log.Info("resumed", "actor", actor.String(), "reason", why)
	a.nudge()
	return ended, nil
}

// unpin ends that. It is for the loop, whose the syncs are.
func (a *Agent) unpin(context.Context) outcome {
	last := a.snapshot().sync
	if !last.Pinned() {
		return outcome{} // a newer commit has ended it meanwhile
	}
	resumed := last.Copy()
	if err := resumed.Apply(record.Unpin, time.Now().UTC()); err != nil {
		return outcome{err: err}
	}
	if err := a.records.SaveSync(resumed); err != nil {
		return outcome{err: fmt.Errorf("save sync: %w", err)}
	}
	a.update(func(v *view) { v.sync = resumed })
	return outcome{sync: resumed}
}

// Approve records a person's word for the plan of the sync that waits for approval,
// and has its gates asked again.
func (a *Agent) Approve(actor audit.Actor, request ApproveRequest) (*record.Approval, error) {
	why, err := reason(request.Reason, true)
	if err != nil {
		return nil, err
	}
	a.people.Lock()
	defer a.people.Unlock()
	sync, err := a.approvable(request)
	if err != nil {
		return nil, err
	}
	approval := &record.Approval{
		PlanDigest: sync.PlanDigest, Source: record.FromNode, By: []string{actor.String()}, Reason: why, Actor: &actor, At: time.Now().UTC(),
	}
	entry := syncEntry(sync)
	entry.Actor, entry.Action, entry.Detail = actor, audit.Approve, why
	if err := a.note(entry); err != nil {
		return nil, err
	}
	if err := a.records.Approve(sync.Commit, approval); err != nil {
		return nil, fmt.Errorf("save approval: %w", err)
	}
	a.Log.Info("approved", "actor", actor.String(), "revision", short(sync.Commit), "plan", sync.PlanDigest, "reason", why)
	a.nudge()
	return approval, nil
}

// approvable gives the sync that waits for approval, where it is the one that is meant.
func (a *Agent) approvable(request ApproveRequest) (*record.Sync, error) {
	sync := a.snapshot().sync
	waits := func(gate record.Gate) bool {
		return gate.Waiting != "" && (gate.Name == record.GateApproval || gate.About == gates.AboutAgreement)
	}
	if sync == nil || sync.State != record.Waiting || !slices.ContainsFunc(sync.Gates, waits) {
		return nil, refuse(http.StatusConflict, "`agent status` shows what is being done", "no rollout waits for approval")
	}
	const shortest = 7
	commit, plan := strings.ToLower(request.Commit), strings.ToLower(request.Plan)
	switch {
	case len(commit) < shortest:
		return nil, refuse(http.StatusBadRequest, "write at least 7 digits, as `agent status` shows them", "%q does not name a commit", request.Commit)
	case !strings.HasPrefix(sync.Commit, commit):
		return nil, refuse(http.StatusConflict, "look at it first: `agent status`, `agent diff`", "the rollout that waits is that of %s, not of %s", short(sync.Commit), request.Commit)
	case plan != "" && (len(plan) < shortest || !strings.HasPrefix(sync.PlanDigest, plan)):
		return nil, refuse(http.StatusConflict, "look at it first: `agent diff`", "the plan is %s now, not %s", short(sync.PlanDigest), request.Plan)
	}
	return sync, nil
}

// Retry tries the held revision again for a person, and follows it to its end.
func (a *Agent) Retry(ctx context.Context, actor audit.Actor, request RetryRequest, progress func(string)) (*record.Sync, error) {
	if err := a.allowRetry(actor, request); err != nil {
		return nil, err
	}
	return a.Sync(ctx, actor, progress)
}

// allowRetry refuses a retry where nothing is held, and records one that is granted.
func (a *Agent) allowRetry(actor audit.Actor, request RetryRequest) error {
	why, err := reason(request.Reason, false)
	if err != nil {
		return err
	}
	a.people.Lock()
	defer a.people.Unlock()
	v := a.snapshot()
	held := v.sync
	if held.Pinned() && !held.Rollback.Auto {
		return refuse(http.StatusConflict, "`agent resume` ends that, and rolls out what is selected", "no revision is held: a rollback by hand keeps the node at %s", short(held.Rollback.Commit))
	}
	if held == nil || held.State != record.Failed && held.State != record.RolledBack {
		return refuse(http.StatusConflict, "`agent status` shows what is being done; `agent sync` reconciles now", "no revision is held")
	}
	entry := syncEntry(held)
	entry.Actor, entry.Action, entry.Plan, entry.Detail = actor, audit.Retry, "", why
	if err := a.note(entry); err != nil {
		return err
	}
	a.Log.Info("retrying", "actor", actor.String(), "revision", short(held.Commit), "reason", why)
	return nil
}

// word is an entry about what a person says to the agent, of the whole node.
func (a *Agent) word(actor audit.Actor, action audit.Action, detail string) audit.Entry {
	v := a.snapshot()
	return audit.Entry{
		Actor: actor, Action: action, Kind: audit.Stack, Name: stackOf(v.sync, v.applied), Outcome: audit.Succeeded, Detail: detail,
	}
}

// override records a person's word that a freeze does not hold for what is synced now.
func (a *Agent) override(actor audit.Actor, text string) (*record.Override, error) {
	why, err := reason(text, true)
	if err != nil {
		return nil, err
	}
	if err := a.note(a.word(actor, audit.Override, why)); err != nil {
		return nil, err
	}
	return &record.Override{Actor: actor, Reason: why, At: time.Now().UTC()}, nil
}
