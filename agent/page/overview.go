package page

import (
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
)

// view is the overview: what a person needs to know first.
type view struct {
	Tone, Word, Rest string
	Next             []piece
	Facts            []fact
	Errors           []trouble
	Gates            []gate
	Sync             *row
	Waiting          bool // the sync waits at a gate
	Rollout          *rollout
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
	Name, Text string
	Waits      bool
	Since      time.Time
	Until      time.Time
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
	mostOutput   = 10 // lines of a service that failed
)

func (p *Pages) overview(r *http.Request, at frame) (templ.Component, error) {
	desk, err := p.API.Desk(record.StackKey(r.URL.Query().Get("stack")))
	if err != nil {
		return nil, err
	}
	status := desk.Status()
	v := view{Tone: tone(report.StateOf(&status)), Next: pieces(status.Next), Facts: factsOf(&status), Errors: errorsOf(&status)}
	v.Word, v.Rest = report.Headline(&status)
	v.Word, v.Rest = say(v.Word, midText), say(v.Rest, midText)
	if sync := status.Sync; sync != nil {
		now := rowOf(sync)
		v.Sync, v.Waiting, v.Gates = &now, sync.State == record.Waiting, gatesOf(sync.Gates)
	}
	v.Rollout = rolloutOf(status.Rollout)
	plan, err := p.API.PlanFor(desk)
	if err != nil {
		return nil, err
	}
	if plan.Of != control.PlanOfNone && len(plan.Document.Steps) > 0 {
		shown := diffOf(plan, previewLines)
		v.Plan = &shown
	}
	status.Drift = trimmed(status.Drift)
	from, _ := strconv.Atoi(r.URL.Query().Get("from")) // anything else is the beginning
	v.Services = servicesOf(&status, from)
	v.Events = p.API.Events.Since("").Events
	slices.Reverse(v.Events)
	v.Events = v.Events[:min(len(v.Events), lastEvents)]
	page, err := p.API.History.Page(record.Query{Limit: lastSyncs})
	if err != nil {
		return nil, err
	}
	for i := range page.Syncs {
		v.Syncs = append(v.Syncs, rowOf(&page.Syncs[i]))
	}
	at.Title, at.Nav = v.Word, "/"
	return overview(at, v), nil
}

// factsOf says which commit is wanted and which one runs, and what keeps the node there.
func factsOf(s *report.Status) []fact {
	facts := []fact{}
	add := func(name, text string, at time.Time) { facts = append(facts, fact{name, say(text, midText), at}) }
	if s.Stack != "" {
		add("Stack", s.Stack, time.Time{})
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

// errorsOf lists what is wrong beside the services, with the remedy.
func errorsOf(s *report.Status) []trouble {
	var list []trouble
	add := func(text, hint string) { list = append(list, trouble{say(text, longText), pieces(hint)}) }
	if s.PollError != "" && (s.Sync == nil || s.PollError != s.Sync.Error) {
		add(s.PollError, s.PollHint)
	}
	if s.Sync != nil && s.Sync.State != record.Succeeded {
		list = append(list, troubles(s.Sync.All())...)
	}
	list = append(list, troubles(s.Forbidden)...)
	for _, one := range s.Contests {
		add(report.ContestText(s.Stack, one), "")
	}
	if s.GitLab != nil && s.GitLab.LastError != "" {
		add("GitLab: "+s.GitLab.LastError, s.GitLab.Hint)
	}
	for _, token := range s.Tokens {
		for _, one := range token.Problems {
			add("GitLab token "+token.Setting+": "+one.Text, one.Hint)
		}
	}
	if s.Policy != nil && s.Policy.Error != "" {
		add("The policy was not reloaded: "+s.Policy.Error, s.Policy.Hint)
	}
	return list[:min(len(list), 10)]
}

func troubles(faults []record.Fault) []trouble {
	var list []trouble
	for _, one := range faults[:min(len(faults), 10)] {
		list = append(list, trouble{say(one.Error, longText), pieces(one.Hint)})
	}
	return list
}

func gatesOf(recorded []record.Gate) []gate {
	var list []gate
	for _, one := range recorded {
		text := one.Waiting
		if text == "" {
			text = one.Passed
		}
		if text == "" {
			text = "passed"
		}
		list = append(list, gate{say(string(one.Name), shortText), say(text, midText), one.Waiting != "", one.Since, one.Until})
	}
	return list
}

func rolloutOf(r *report.Rollout) *rollout {
	if r == nil {
		return nil
	}
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
		for _, text := range append(slices.Clone(one.Health), one.Logs...) {
			if len(line.Output) < mostOutput {
				line.Output = append(line.Output, say(text, midText))
			}
		}
		shown.Waiting = append(shown.Waiting, line)
	}
	return shown
}
