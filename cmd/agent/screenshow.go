package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/deploy"
)

// shownSync is a sync and its manifest.
type shownSync struct {
	sync     *record.Sync
	manifest *report.Manifest
}

// showScreen shows a sync.
func showScreen(s *page, of shownSync) {
	sync, m := of.sync, of.manifest
	s.put(m.Environment, "/", m.Node, "  stack ", orDash(m.Stack), "  sync #", sync.ID, "  ", syncState(s, sync))
	syncFacts(s, sync, m)
	if sync.Rollback != nil {
		syncRollback(s, sync)
	}
	for _, warning := range sync.Warnings {
		s.line("  warning   ", s.yellow(tidy(warning)))
	}
	if m.Plan != nil && !m.Plan.Empty() {
		s.line()
		for _, line := range report.PlanLines(*m.Plan) {
			s.line("  ", s.tone(line))
		}
	}
	if len(m.Services) > 0 {
		s.line()
		if m.Rollback != nil && m.Rollback.Wrote {
			s.line("after the rollout, before the rollback:")
		}
		s.line()
		syncReleased(s, m.Services)
	}
	if rollout := report.FailedRollout(sync); rollout != nil {
		s.line()
		detailsScreen(s, rollout)
	}
	if next := report.NextStep(sync); next != "" {
		s.line()
		s.line("next: ", next)
	}
}

// syncFacts adds what a sync deployed, when, for whom, and how it went.
func syncFacts(s *page, sync *record.Sync, m *report.Manifest) {
	s.fact("commit", "%s %s %s", short(sync.Commit), sync.Ref, byWhom(sync.Subject, sync.Author))
	if sync.Signer != "" {
		s.fact("signed by", "%s", sync.Signer)
	}
	s.fact("release", "%s%s%s", orDash(m.ReleaseTag), after(", task ", m.TaskID), after(", pipeline ", m.PipelineID))
	s.fact("started", "%s", startedText(m))
	s.fact("by", "%s (%s)", sync.Actor, sync.Trigger)
	for _, one := range sync.All() {
		s.fact(cmp.Or(sync.FailedAt(), "error"), "%s", one.Error)
		s.hint(one.Hint)
	}
	if sync.Summary != "" {
		s.fact("summary", "%s", sync.Summary)
	}
	name := "gates"
	for _, gate := range sync.Gates {
		if text := gateText(gate); text != "" {
			s.fact(name, "%s", text)
			name = ""
		}
	}
	if a := sync.Approval; a != nil {
		source := a.Source
		if a.MergeRequest != 0 {
			source = fmt.Sprintf("%s, !%d", source, a.MergeRequest)
		}
		s.fact("approved", "%s (%s), %s%s", strings.Join(a.People(), ", "), source, local(a.At), after(": ", a.Reason))
	}
	if sync.Migration != nil {
		s.fact("migration", "%s", migrationText(sync.Migration))
	}
	if len(m.Checks) > 0 {
		s.fact("checks", "%s", checks.Summary(m.Checks))
	}
	for _, one := range m.Checks {
		if !one.OK {
			s.fact("", "%s", one.Failure())
		}
	}
}

// syncRollback adds the rollback of a sync.
func syncRollback(s *page, sync *record.Sync) {
	back := sync.Rollback
	how, duration := "manual", ""
	if back.Auto {
		how = "automatic"
	}
	if back.Refused == "" {
		duration = after(", after ", took(back.Started, back.Finished))
	}
	s.fact("rollback", "%s, to #%d (%s, release %s): %s%s", how, back.To, short(back.Commit), orDash(back.Release), report.Outcome(back), duration)
	if back.Refused != "" {
		s.fact("", "%s", back.Refused)
	}
	if back.Summary != "" {
		s.fact("", "%s", back.Summary)
	}
	if back.Reason != "" {
		s.fact("", "reason: %s", back.Reason)
	}
	for _, warning := range back.Warnings {
		s.line("  warning   ", s.yellow(tidy(warning)))
	}
	s.hint(sync.Key.In(back.Hint))
	s.fact("", "full report: agent show %d -o report", sync.ID)
}

// syncState gives the state of a sync in its colour.
func syncState(s *page, sync *record.Sync) markup {
	text, known := map[record.State]markup{
		record.Succeeded: s.green("succeeded"), record.Failed: s.red("failed"), record.RolledBack: s.yellow("rolled back"),
	}[sync.State]
	if !known {
		text = s.yellow(string(sync.State))
	}
	if sync.Good {
		text += ", a good state"
	}
	return text
}

// startedText gives the start of a sync, how long it took, and the time of each stage.
func startedText(m *report.Manifest) markup {
	text := shown(local(m.Started))
	if m.Finished != nil {
		text += joinShown(", took ", took(m.Started, *m.Finished))
	}
	var stages []string
	for _, one := range m.Stages {
		if one.Seconds >= 0.05 {
			stages = append(stages, string(joinShown(one.Stage, " ", fmt.Sprintf("%.1fs", one.Seconds))))
		}
	}
	if len(stages) > 0 {
		text += markup(" (" + strings.Join(stages, ", ") + ")")
	}
	return text
}

// gateText says what a gate waits for, or why it let the sync pass; "" if that is not known.
func gateText(gate record.Gate) markup {
	if gate.Waiting == "" {
		if gate.Passed == "" {
			return ""
		}
		return joinShown(gate.Name, ": ", gate.Passed)
	}
	text := joinShown(gate.Name, ": ", gate.Waiting)
	for _, one := range []struct {
		word string
		at   time.Time
	}{{", since ", gate.Since}, {", until ", gate.Until}} {
		if !one.at.IsZero() {
			text += joinShown(one.word, local(one.at))
		}
	}
	return text
}

// syncReleased adds the services of a release, and their states.
func syncReleased(s *page, services []report.Service) {
	s.table("SERVICE\tIMAGE\tPLAN\tREADY\tSTATE", func(row func(...any)) {
		for _, one := range services {
			ready, state := "-", shown(orDash(string(one.State)))
			if one.State != "" {
				ready = fmt.Sprint(one.Ready, "/", one.Want)
			}
			if one.State == deploy.Failed {
				state = s.red(string(state))
			}
			row(one.Name, imageText(one), cmp.Or(one.Action, "-"), ready, state)
		}
	}, "IMAGE")
}

// imageText gives the image of a service, and the one that it had before if it changed.
func imageText(service report.Service) markup {
	now := shown(service.Image.Short())
	switch before := service.Before; {
	case before == nil:
		return now
	case before.Name != service.Image.Name:
		return shown(before.Short()) + " -> " + now
	case before.Tag != service.Image.Tag:
		return shown(before.Short()) + " -> " + shown(service.Image.Tag)
	case before.Digest != service.Image.Digest:
		return now + " (another digest)"
	}
	return now
}

// tone gives a line of a plan in its colour.
func (s *page) tone(line report.Line) markup { return s.p.paint(toneColours[line.Tone], line.Text) }

// planScreen shows a plan.
func planScreen(s *page, plan deploy.RecordedPlan) {
	for _, line := range report.PlanLines(plan) {
		s.line(s.tone(line))
	}
}

// rollbackScreen shows the good state to roll back to, and the plan.
func rollbackScreen(s *page, plan *request.RollbackPlan) {
	what := "the stack"
	if len(plan.Services) > 0 {
		what = strings.Join(plan.Services, ", ")
	}
	s.put(what, " will roll back to ", releaseName(plan.Release, plan.Commit), " (sync #", plan.To, "), verified at ", local(plan.At))
	if !plan.Plan.Empty() {
		planScreen(s, plan.Plan)
		return
	}
	for _, warning := range plan.Plan.Warnings {
		s.line(s.yellow("warning: " + warning))
	}
	s.line("no changes: the rollback will only verify the services and pin the node")
}

// adoptionScreen shows what a rollout that waits takes over from others, and its plan.
func adoptionScreen(s *page, plan *request.AdoptionPlan) {
	s.line("the rollout of ", releaseName(plan.Release, plan.Commit), " will take over")
	if before := plan.Takes.Before; before != "" {
		s.line("  stack ", plan.Takes.Stack, " in place of ", before, ", whose services stay as they are and are no longer kept in sync")
	}
	for _, one := range plan.Takes.Objects {
		s.line("  ", fmt.Sprintf("%-7s", one.Kind), " ", printable(one.Name), "  ")
		switch one.Fate {
		case "keep":
			s.put("(stays as it is)")
		case "remove":
			s.put(s.red("(will be removed)"))
		default:
			s.put("(will be ", one.Fate, "d)")
		}
	}
	planScreen(s, plan.Plan)
}
