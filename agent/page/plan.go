package page

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
)

// diff is a plan to read.
type diff struct {
	Heading string
	About   string // of which sync, or why
	Whole   bool   // there is a page with all of it
	Lines   []line
	More    int // lines that are not shown
}

// line is one line of a plan. Its sign says what its tone says.
type line struct {
	Tone, Text string
	Detail     bool // of the step above it
}

const (
	planLines = 1000
	planRoom  = room(180_000)
)

func (p *Pages) plan(_ *http.Request, at frame) (templ.Component, error) {
	desk, err := p.desk(at)
	if err != nil {
		return nil, err
	}
	now, err := p.API.PlanFor(desk)
	if err != nil {
		return nil, err
	}
	at.Title, at.Nav, at.Follow = "Plan", "/plan", true
	shown := diffOf(now, planLines, at.room)
	shown.Whole = false
	var gates []gate
	if status := desk.Status(); status.Sync != nil && now.Of == control.PlanOfSync {
		gates = gatesOf(&record.Sync{State: now.State, Gates: now.Gates})
		return planPage(at, shown, gates, at.steps(report.NextStep(status.Sync), &status)), nil
	}
	status := desk.Status()
	return planPage(at, shown, nil, at.steps(status.Next, &status)), nil
}

// diffOf gives the present plan, up to a number of lines.
func diffOf(plan control.Plan, most int, space *room) diff {
	d := diff{Whole: true}
	switch plan.Of {
	case control.PlanOfSync:
		d.Heading = "Plan of sync #" + strconv.FormatUint(plan.Sync, 10)
		d.About = record.Short(plan.Commit) + " is " + report.StateWord(plan.State)
		if len(plan.Document.Steps) == 0 {
			d.About += ", and has no plan yet."
			return d
		}
		d.About += ":"
	case control.PlanOfDrift:
		d.Heading, d.About = "Drift", "The live services differ from the applied state. A sync would do this:"
	case control.PlanOfNone:
		d.Heading, d.About = "No plan", "No sync waits or runs, and nothing has drifted."
		return d
	}
	d.About += " " + say(plan.Document.Summary, midText)
	d.Lines, d.More = linesOf(plan.Document.Recorded(), most, space)
	return d
}

// linesOf gives the lines of a plan, as far as there is room.
func linesOf(plan deploy.RecordedPlan, most int, space *room) (list []line, more int) {
	beyond := max(0, len(plan.Steps)-most) // each step has a line at least
	plan.Steps = trimmed(plan.Steps[:len(plan.Steps)-beyond])
	plan.Warnings = plan.Warnings[:min(len(plan.Warnings), most)]
	all := report.PlanLines(plan)
	if beyond > 0 {
		all = all[:len(all)-1] // it sums up a part of the plan
	}
	left := space.take(planRoom)
	defer space.back(&left)
	for i, one := range all {
		text := one.Text[:min(len(one.Text), 8*longText)]
		short := strings.TrimLeft(text, " ")
		detail := len(text)-len(short) > 4
		short = say(short, longText)
		if i == most || !left.has(short) {
			return list, len(all) - i + beyond
		}
		list = append(list, line{string(one.Tone), short, detail})
		left -= 60
	}
	return list, beyond
}

const (
	mostChanges   = 200
	longestChange = 2000 // bytes
)

// trimmed gives steps without what no page has room for.
func trimmed(steps []deploy.Step) []deploy.Step {
	cut := func(text string) string { return text[:min(len(text), longestChange)] }
	list := slices.Clone(steps)
	for i := range list {
		for _, changes := range []*[]deploy.Change{&list[i].Changes, &list[i].Has} {
			*changes = slices.Clone((*changes)[:min(len(*changes), mostChanges)])
			for j := range *changes {
				one := &(*changes)[j]
				one.Path, one.Old, one.New = cut(one.Path), cut(one.Old), cut(one.New)
			}
		}
	}
	return list
}
