package page

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/checks"
)

// detail is one sync in full.
type detail struct {
	Row      row
	Next     []piece
	Facts    []fact
	Errors   []trouble
	Warnings []string
	Stages   []stage
	Gates    []gate
	Checks   []check
	Plan     diff
	Services []released
	Hidden   int // services that are not shown
	Failed   *rollout
	Report   []string // of the rollback, by line
	Cut      int      // lines of it that are not shown
}

// stage is one stage on the time line. Begin and Width are thousandths of the line.
type stage struct {
	Name, Took   string
	Began        time.Time
	Begin, Width int
	Failed       bool
}

// check is the result of one check.
type check struct {
	Name, Text, Tone string
}

// released is a service of the release.
type released struct {
	Name, Image, Action, Tasks, State, Tone string
}

const (
	reportLines = 500
	reportRoom  = room(60_000)
	mostChecks  = 50
	mostRelease = 100
)

func (p *Pages) sync(r *http.Request, at frame) (templ.Component, error) {
	recorded, err := control.FindSync(p.API.History, r.PathValue("id"))
	if errors.Is(err, control.ErrNoSync) {
		err = request.Refused{Kind: request.NotFound, Err: err}
	}
	if err != nil {
		return nil, err
	}
	at.Stack = p.owner(at, recorded)
	manifest, err := report.NewManifest(p.API.Node, recorded)
	if err != nil {
		return nil, err
	}
	d := detail{
		Row: rowOf(recorded), Next: pieces(report.NextStep(recorded)), Facts: syncFacts(recorded, manifest), Errors: troubles(recorded.All(), at.room),
		Stages: stagesOf(manifest), Gates: gatesOf(recorded), Checks: checksOf(manifest.Checks),
		Failed: rolloutOf(report.FailedRollout(recorded), at.room),
	}
	for _, one := range manifest.Warnings[:min(len(manifest.Warnings), mostWaited)] {
		d.Warnings = append(d.Warnings, say(one, midText))
	}
	if text, err := report.Rollback(p.API.Node, recorded); err == nil { // an error says that there was none
		d.Report, d.Cut = reportOf(text, at.room)
	}
	for _, one := range manifest.Services[:min(len(manifest.Services), mostRelease)] {
		next := releasedOf(one)
		if *at.room -= 450; !at.room.has(next.Name, next.Image) {
			break
		}
		d.Services = append(d.Services, next)
	}
	if manifest.Plan != nil && !manifest.Plan.Empty() {
		d.Plan.Lines, d.Plan.More = linesOf(*manifest.Plan, planLines, at.room)
		d.Plan.About = say(report.PlanIntent(*manifest.Plan), midText)
	}
	d.Hidden = len(manifest.Services) - len(d.Services)
	at.Title, at.Nav, at.Follow = fmt.Sprintf("Sync #%d", recorded.ID), "/syncs", true
	return syncPage(at, d), nil
}

// syncFacts says what a sync deployed, when, and for whom.
func syncFacts(sync *record.Sync, m *report.Manifest) []fact {
	facts := []fact{}
	add := func(name, text string, at time.Time) {
		if text != "" || !at.IsZero() {
			facts = append(facts, fact{name, say(text, midText), at})
		}
	}
	add("Commit", sync.Commit, time.Time{})
	add("Ref", sync.Ref, time.Time{})
	add("Author", m.Author, time.Time{})
	add("Signed by", sync.Signer, time.Time{})
	add("Release", m.ReleaseTag, time.Time{})
	add("Task", m.TaskID, time.Time{})
	add("Pipeline", m.PipelineID, time.Time{})
	add("Stack", m.Stack, time.Time{})
	add("Started by", m.Actor.String()+" ("+m.Trigger+")", time.Time{})
	add("Started", "", m.Started)
	add("Finished", "", sync.Finished)
	add("Waited", lasted(report.Waited(sync)), time.Time{})
	add("Rolled out in", lasted(report.Worked(sync)), time.Time{})
	if a := sync.Approval; a != nil {
		text := strings.Join(a.People(), ", ")
		if a.Reason != "" {
			text += ": " + a.Reason
		}
		add("Approved by", text, a.At)
	}
	if back := sync.Rollback; back != nil {
		add("Rollback", fmt.Sprintf("to sync #%d (%s): %s", back.To, record.Short(back.Commit), report.Outcome(back)), time.Time{})
		add("Not rolled back", back.Refused, time.Time{})
		add("Reason", back.Reason, time.Time{})
	}
	if len(m.Checks) > 0 {
		add("Checks", checks.Summary(m.Checks), time.Time{})
	}
	return facts
}

// stagesOf gives the stages one after the other, as wide as they were long.
func stagesOf(m *report.Manifest) []stage {
	total := 0.0
	for _, one := range m.Stages {
		total += one.Seconds
	}
	list, before := []stage{}, 0.0
	for _, one := range m.Stages {
		next := stage{Name: string(one.Stage), Took: lasted(time.Duration(one.Seconds * float64(time.Second))), Failed: m.FailedAt == string(one.Stage)}
		if one.Entered != nil {
			next.Began = *one.Entered
		}
		if total > 0 {
			next.Begin = min(int(before/total*1000), 996)
			next.Width = min(max(int(one.Seconds/total*1000), 4), 1000-next.Begin)
		}
		before += one.Seconds
		list = append(list, next)
	}
	return list
}

func checksOf(results []checks.Result) []check {
	var list []check
	for _, one := range results[:min(len(results), mostChecks)] {
		line := check{say(one.String(), midText), "passed in " + lasted(time.Duration(one.Seconds*float64(time.Second))), "well"}
		if !one.OK {
			line.Text, line.Tone = say(one.Failure(), midText), "alarm"
		}
		list = append(list, line)
	}
	return list
}

func releasedOf(one report.Service) released {
	image := one.Image.Short()
	line := released{Name: say(one.Name, shortText), Image: say(image, shortText), Action: string(one.Action), State: string(one.State), Tone: "quiet"}
	if before := one.Before; before != nil && before.Short() != image {
		line.Image = say(before.Short()+" → "+image, midText)
	}
	if one.State != "" {
		line.Tasks = strconv.FormatUint(one.Ready, 10) + "/" + strconv.FormatUint(one.Want, 10)
		line.Tone = map[string]string{"converged": "well", "failed": "alarm"}[line.State]
	}
	if line.Tone == "" {
		line.Tone = "attention"
	}
	return line
}

// reportOf gives the lines of a report, as far as there is room.
func reportOf(text string, space *room) (list []string, cut int) {
	all := strings.Split(strings.TrimSpace(report.Unescaped(text)), "\n")
	left := space.take(reportRoom)
	defer space.back(&left)
	for i, one := range all {
		indent := one[:len(one)-len(strings.TrimLeft(one, " "))]
		one = indent[:min(len(indent), 20)] + say(one, longText)
		if i == reportLines || !left.has(one) {
			return list, len(all) - i
		}
		list = append(list, one)
	}
	return list, 0
}
