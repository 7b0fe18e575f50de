package page

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/events"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/plural"
)

// view is the overview: what a person needs to know first.
type view struct {
	Tone, Word, Rest string
	Done             string // what the form did that led here
	Acts             []act
	Next             []piece
	Facts            []fact
	Errors, Warnings []trouble
	Past             []trouble // why the last sync was rolled back
	Gates            []gate
	Sync             *row
	Waiting          bool     // the sync waits at a gate
	Rollout, Failed  *rollout // that runs; that the last sync failed over
	Plan             *diff
	Services         services
	Events           []events.Event
	Syncs            []row
}

// fact is a line of a description.
type fact struct {
	Name, Text string
	At         time.Time // shown behind the text
}

// trouble is an error and its remedy.
type trouble struct {
	Text string
	Hint []piece
}

// gate is what one gate of a sync answered.
type gate struct {
	Name, Text, Tone string
	Since, Until     time.Time // of the wait
}

// rollout is the wait for services.
type rollout struct {
	Ready, All int
	Since      time.Time
	Waiting    []waited
	More       int
}

// waited is a service that is waited for, or failed.
type waited struct {
	Name, Tasks, State, Why, Tone string
	Output                        []string // of its health check, and its log
}

const (
	previewLines = 12 // of the plan on the overview
	lastEvents   = 8  // on the overview
	lastSyncs    = 5  // on the overview
	mostWaited   = 20 // services that a rollout waits for
	mostTroubles = 10
	mostOutput   = 10 // lines of a service that failed
	rolloutRoom  = room(60_000)
	troubleRoom  = room(40_000)
)

func (p *Pages) overview(r *http.Request, at frame) (templ.Component, error) {
	desk, err := p.desk(at)
	if err != nil {
		return nil, err
	}
	status := desk.Status()
	v := view{Tone: report.StateOf(&status).String(), Next: at.steps(status.Next, &status), Facts: factsOf(&status)}
	v.Done, v.Acts = p.sent.text(r.URL.Query().Get("done")), at.offered(&status)
	v.Errors = troubles(report.Wrong(&status), at.room)
	v.Past = troubles(report.WasWrong(&status), at.room)
	v.Warnings = troubles(report.Warnings(&status), at.room)
	word, sync := report.Verdict(&status)
	v.Word, v.Rest = say(joined(word, sync), midText), say(report.Counts(&status), midText)
	if last := status.Sync; last != nil {
		now := rowOf(last)
		v.Sync, v.Waiting, v.Gates = &now, last.State == record.Waiting, gatesOf(last)
	}
	if status.Sync != nil && status.Sync.State.Final() {
		v.Failed = rolloutOf(status.Rollout, at.room)
	} else {
		v.Rollout = rolloutOf(status.Rollout, at.room)
	}
	// What cannot be read hides nothing of the rest.
	plan, err := p.API.PlanFor(desk)
	v.unread("the plan", err)
	if err == nil && plan.Of != control.PlanOfNone && len(plan.Document.Steps) > 0 {
		shown := diffOf(plan, previewLines, at.room)
		v.Plan = &shown
	}
	page, err := p.API.History.Page(record.Query{Stack: at.Stack, Limit: lastSyncs})
	v.unread("the history", err)
	for i := range page.Syncs {
		v.Syncs = append(v.Syncs, rowOf(&page.Syncs[i]))
		_ = at.room.has(v.Syncs[i].texts()...)
	}
	v.Events = at.lastOf(p.API.Events.Since("").Events, lastEvents)
	status.Drift = trimmed(status.Drift)
	from, _ := strconv.Atoi(r.URL.Query().Get("from")) // anything else is the beginning
	v.Services = servicesOf(&status, at, from)
	at.Title, at.Nav, at.Follow = v.Word, "/", true
	return overview(at, v), nil
}

// unread notes that a part of the overview cannot be shown, and why.
func (v *view) unread(what string, err error) {
	if err != nil {
		v.Errors = append(v.Errors, trouble{say(what+" cannot be shown: "+err.Error(), longText), pieces(fault.Hint(err))})
	}
}

// factsOf says which commit is wanted and which one runs, and what keeps the node there.
func factsOf(s *report.Status) []fact {
	facts := []fact{}
	add := func(name, text string, at time.Time) { facts = append(facts, fact{name, say(text, midText), at}) }
	if s.Stack != "" {
		add("Stack", s.Stack, time.Time{})
	}
	if !s.Observed.IsZero() {
		add("Services seen", "", s.Observed)
	}
	if d := s.Desired; d != nil {
		add("Git selects", strings.Join([]string{record.Short(d.Commit), d.Ref}, " · "), time.Time{})
		add("Change", byWhom(d.Subject, d.Author), time.Time{})
	}
	if a := s.Applied; a != nil {
		text := record.Short(a.Commit)
		if a.Release != "" {
			text += " · release " + a.Release
		}
		add("Applied", text, a.At)
		if !a.Soaking.IsZero() {
			add("Soaking until", "", a.Soaking)
		}
		if a.Unfit != "" {
			add("No rollback to it", a.Unfit, time.Time{})
		}
	}
	if pin := s.Pinned; pin != nil {
		add("Pinned", "at "+record.Short(pin.Commit)+" by "+pin.By.String()+": "+pin.Reason, pin.Since)
	}
	if s.Mode != "" {
		add("Mode", s.Mode+": the agent plans and reports, and changes nothing", time.Time{})
	}
	if pause := s.Pause; pause != nil {
		add("Paused", "by "+pause.Actor.String()+": "+pause.Reason, pause.Since)
		if !pause.Until.IsZero() {
			add("Paused until", "", pause.Until)
		}
	}
	if s.Group != "" {
		add("Group", s.Group, time.Time{})
	}
	if !s.LastLook.IsZero() {
		add("Last look", "", s.LastLook)
	}
	for _, one := range s.Tags {
		add("Tag", one, time.Time{})
	}
	for _, one := range s.Overdue {
		add("Rotation overdue", one.Name, one.Due)
	}
	return facts[:min(len(facts), 30)]
}

func byWhom(subject, author string) string {
	if author == "" {
		return say(subject, shortText)
	}
	return say(subject, shortText) + " · " + say(audit.AuthorName(author), shortText)
}

// troubles lists faults, as far as there is room.
func troubles(faults []record.Fault, space *room) []trouble {
	var list []trouble
	left := space.take(troubleRoom)
	defer space.back(&left)
	for i, one := range faults {
		next := trouble{say(one.Error, longText), pieces(one.Hint)}
		if left -= 200; i == mostTroubles || !left.has(next.Text, one.Hint) {
			return append(list, trouble{Text: plural.Count(len(faults)-i, "more message"), Hint: pieces("`agent status` shows them")})
		}
		list = append(list, next)
	}
	return list
}

// gatesOf gives what the gates of a sync answered. A sync that is over waits for nothing.
func gatesOf(sync *record.Sync) []gate {
	var list []gate
	for _, one := range sync.Gates {
		next := gate{Name: say(string(one.Name), shortText), Tone: "well", Text: say(cmp.Or(one.Passed, "passed"), midText)}
		switch {
		case one.Waiting != "" && sync.State == record.Waiting:
			next.Tone, next.Text, next.Since, next.Until = "attention", say(one.Waiting, midText), one.Since, one.Until
		case one.Waiting != "":
			next.Tone, next.Text = "quiet", say("waited: "+one.Waiting, midText)
		}
		list = append(list, next)
	}
	return list
}

// outputOf gives the newest of what a service printed, the output of its health check first,
// which begins with its exit code.
func outputOf(of deploy.ServiceResult) (lines []string) {
	health, logs := of.Health, of.Logs[max(0, len(of.Logs)-mostOutput/2):]
	left := len(of.Logs) - len(logs)
	if room := mostOutput - len(logs); len(health) > room {
		left += len(health) - room
		health = append(slices.Clone(health[:1]), health[len(health)-room+1:]...)
	}
	for _, text := range append(slices.Clone(health), logs...) {
		lines = append(lines, say(text, midText))
	}
	if left > 0 {
		lines = append(lines, fmt.Sprintf("(%d earlier lines are left out: agent show latest)", left))
	}
	return lines
}

func rolloutOf(r *report.Rollout, space *room) *rollout {
	if r == nil {
		return nil
	}
	left := space.take(rolloutRoom)
	defer space.back(&left)
	waiting := r.Waiting()
	shown := &rollout{Ready: len(r.Services) - len(waiting), All: len(r.Services), Since: r.Started, More: max(0, len(waiting)-mostWaited)}
	for _, one := range waiting[:min(len(waiting), mostWaited)] {
		line := waited{
			Name: say(one.Name, shortText), Tasks: strconv.FormatUint(one.Ready, 10) + "/" + strconv.FormatUint(one.Want, 10),
			State: say(string(one.State), shortText), Why: say(report.Message(one), midText), Tone: "attention",
		}
		if line.State == "failed" {
			line.Tone = "alarm"
		}
		line.Output = outputOf(one)
		if left -= 500; !left.has(append(line.Output, line.Name, line.Why)...) {
			shown.More = len(waiting) - len(shown.Waiting)
			break
		}
		left -= room(20 * len(line.Output))
		shown.Waiting = append(shown.Waiting, line)
	}
	return shown
}
