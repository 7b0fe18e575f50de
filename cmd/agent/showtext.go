package main

import (
	"cmp"
	"fmt"
	"path"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/deploy"
)

// printShown shows a sync on one screen: its revision, its errors and gates, its
// writes, its result, and the next step.
func printShown(p printer, sync *record.Sync, m *report.Manifest) {
	p.line("%s/%s  stack %s  sync #%d  %s", m.Environment, m.Node, orDash(m.Stack), sync.ID, outcomeText(p, sync))
	p.fact("commit", "%s %s  %s", short(sync.Commit), sync.Ref, byWhom(sync.Subject, sync.Author))
	p.fact("release", "%s", releaseText(m))
	p.fact("started", "%s", tookText(m))
	p.fact("by", "%s (%s)", sync.Actor, sync.Trigger)
	printFaults(p, sync)
	if sync.Summary != "" {
		p.fact("summary", "%s", sync.Summary)
	}
	printGates(p, sync)
	printMigration(p, sync.Migration)
	printChecks(p, "checks", m.Checks)
	printRollback(p, sync)
	for _, warning := range sync.Warnings {
		p.line("  %-9s %s", "warning", p.paint(yellow, tidy(warning)))
	}
	if m.Plan != nil && !m.Plan.Empty() {
		p.line("")
		for _, line := range report.PlanLines(*m.Plan) {
			p.line("  %s", p.paint(toneColours[line.Tone], printable(line.Text)))
		}
	}
	printReleased(p, m)
	if rollout := report.FailedRollout(sync); rollout != nil {
		p.line("")
		printDetails(p, rollout)
	}
	if next := report.NextStep(sync); next != "" {
		p.line("")
		p.line("next: %s", next)
	}
}

// fact prints a line with a name before it.
func (p printer) fact(name, format string, args ...any) {
	p.line("  %-9s %s", name, tidy(fmt.Sprintf(format, args...)))
}

// tidy makes one printable line of a text.
func tidy(text string) string { return printable(strings.Join(strings.Fields(text), " ")) }

func outcomeText(p printer, sync *record.Sync) string {
	colour := yellow
	switch sync.State {
	case record.Succeeded:
		colour = green
	case record.Failed:
		colour = red
	case record.Pending, record.Waiting, record.Running, record.RolledBack, record.Superseded:
	}
	text := p.paint(colour, strings.ReplaceAll(string(sync.State), "_", " "))
	if sync.Good {
		text += ", a good state"
	}
	return text
}

func releaseText(m *report.Manifest) string {
	text := orDash(m.ReleaseTag)
	if m.TaskID != "" {
		text += ", task " + m.TaskID
	}
	if m.PipelineID != "" {
		text += ", pipeline " + m.PipelineID
	}
	return text
}

// tookText gives the start of a sync, its duration, and the time of each stage.
func tookText(m *report.Manifest) string {
	text := m.Started.Local().Format(time.DateTime)
	if m.Finished != nil {
		text += ", took " + m.Finished.Sub(m.Started).Round(100*time.Millisecond).String()
	}
	var parts []string
	for _, stage := range m.Stages {
		if stage.Seconds >= 0.05 {
			parts = append(parts, fmt.Sprintf("%s %.1fs", stage.Stage, stage.Seconds))
		}
	}
	if len(parts) > 0 {
		text += " (" + strings.Join(parts, ", ") + ")"
	}
	return text
}

func printFaults(p printer, sync *record.Sync) {
	for _, one := range sync.All() {
		p.fact(cmp.Or(string(sync.FailedAt()), "error"), "%s", one.Error)
		printHint(p, one.Hint)
	}
}

// printGates shows the gates that have a text, and who approved.
func printGates(p printer, sync *record.Sync) {
	name := "gates"
	for _, gate := range sync.Gates {
		text := gateText(gate)
		if text == "" {
			continue
		}
		p.fact(name, "%s", text)
		name = ""
	}
	if one := sync.Approval; one != nil {
		text := strings.Join(one.By, ", ") + " (" + one.Source
		if one.MergeRequest != 0 {
			text += fmt.Sprintf(", !%d", one.MergeRequest)
		}
		text += "), " + one.At.Local().Format(time.DateTime)
		if one.Reason != "" {
			text += ": " + one.Reason
		}
		p.fact("approved", "%s", text)
	}
}

// gateText gives a gate in one line; "" for a gate without a text.
func gateText(gate record.Gate) string {
	switch {
	case gate.Waiting == "" && gate.Passed == "":
		return ""
	case gate.Waiting == "":
		return string(gate.Name) + ": " + gate.Passed
	}
	text := string(gate.Name) + ": " + gate.Waiting
	if !gate.Since.IsZero() {
		text += ", since " + gate.Since.Local().Format(time.DateTime)
	}
	if !gate.Until.IsZero() {
		text += ", until " + gate.Until.Local().Format(time.DateTime)
	}
	return text
}

func printMigration(p printer, at *record.Migration) {
	if text := migrationText(at); text != "" {
		p.fact("migration", "%s", text)
	}
}

// migrationText gives the migrations of the database; "" if the agent did not read them.
func migrationText(at *record.Migration) string {
	if at == nil {
		return ""
	}
	number := func(id *int64) string {
		if id == nil {
			return "?"
		}
		return fmt.Sprint(*id)
	}
	text := fmt.Sprintf("%s: %s before, %s after", at.Table, number(at.Before), number(at.After))
	if at.Expected != nil {
		text += fmt.Sprintf(", the release expects %d", *at.Expected)
	}
	if at.Forced {
		text += "; rollback across migrations forced by a user"
	}
	return text
}

func printChecks(p printer, name string, results []checks.Result) {
	if len(results) == 0 {
		return
	}
	p.fact(name, "%s", checks.Summary(results))
	for _, result := range results {
		if !result.OK {
			p.fact("", "%s", result.Failure())
		}
	}
}

func printRollback(p printer, sync *record.Sync) {
	back := sync.Rollback
	if back == nil {
		return
	}
	how := "automatic"
	if !back.Auto {
		how = "manual"
	}
	took := ""
	if !back.Finished.IsZero() && back.Refused == "" {
		took = ", after " + back.Finished.Sub(back.Started).Round(100*time.Millisecond).String()
	}
	p.fact("rollback", "%s, to #%d (%s, release %s): %s%s", how, back.To, short(back.Commit), orDash(back.Release), report.Outcome(back), took)
	for _, text := range []string{back.Refused, back.Summary} {
		if text != "" {
			p.fact("", "%s", text)
		}
	}
	if back.Reason != "" {
		p.fact("", "reason: %s", back.Reason)
	}
	printHint(p, back.Hint)
	p.fact("", "full report: agent show %d -o report", sync.ID)
}

// printReleased lists the services of the release and their states.
func printReleased(p printer, m *report.Manifest) {
	if len(m.Services) == 0 {
		return
	}
	rows := make([][]string, 0, len(m.Services))
	for _, service := range m.Services {
		ready, state := "-", orDash(string(service.State))
		if service.State != "" {
			ready = fmt.Sprintf("%d/%d", service.Ready, service.Want)
		}
		if service.State == deploy.Failed {
			state = p.paint(red, state)
		}
		rows = append(rows, []string{service.Name, imageText(service), cmp.Or(string(service.Action), "-"), ready, state})
	}
	p.line("")
	if m.Rollback != nil && m.Rollback.Wrote {
		p.line("after the rollout, before the rollback:")
	}
	p.table([]string{"SERVICE", "IMAGE", "PLAN", "READY", "STATE"}, rows)
}

// imageText gives a service's image, and the tag that it had before if the tag
// changed.
func imageText(service report.Service) string {
	name := func(parts report.Image) string {
		if parts.Tag == "" {
			return path.Base(parts.Name)
		}
		return path.Base(parts.Name) + ":" + parts.Tag
	}
	text := name(service.Image)
	switch before := service.Before; {
	case before == nil || *before == service.Image:
	case before.Name == service.Image.Name && before.Tag != service.Image.Tag:
		text = path.Base(before.Name) + ":" + before.Tag + " -> " + service.Image.Tag
	case before.Name == service.Image.Name:
		text += " (another digest)"
	default:
		text = name(*before) + " -> " + text
	}
	return text
}
